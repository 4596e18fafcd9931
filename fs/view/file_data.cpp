#include "fs/view/file_data.h"

#include <algorithm>
#include <cerrno>
#include <ctime>

#include "fs/base/error.h"
#include "fs/view/ext_time.h"
#include "fs/view/half_done.h"

namespace imgfs {
namespace {

// Together they bound the cache at some 10 MiB.
constexpr size_t kMostWindows = 256;
constexpr uint64_t kWindowBlocks = 1024;

bool is_data(const BlockRun& run) {
    return run.physical != 0 && !run.unwritten;
}

void set_changed_now(ext2_inode_large& inode) {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    set_modified(inode, now);
    set_changed(inode, now);
}

/// The run that `logical` lies in; the runs cover it.
const BlockRun& run_at(const std::vector<BlockRun>& runs, uint64_t logical) {
    return *std::prev(std::ranges::upper_bound(runs, logical, {}, &BlockRun::logical));
}

}  // namespace

/// Holds an inode's lock, shared or alone.
class FileData::Hold {
  public:
    enum class Mode { shared, alone };

    Hold(FileData& data, ext2_ino_t number, Mode mode) : data_(data), mode_(mode) {
        {
            const std::lock_guard lock(data_.locks_mutex_);
            entry_ = data_.locks_.try_emplace(number).first;
            ++entry_->second.users;
        }
        if (mode_ == Mode::shared) {
            entry_->second.mutex.lock_shared();
        } else {
            entry_->second.mutex.lock();
        }
    }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;
    ~Hold() {
        if (mode_ == Mode::shared) {
            entry_->second.mutex.unlock_shared();
        } else {
            entry_->second.mutex.unlock();
        }
        const std::lock_guard lock(data_.locks_mutex_);
        if (--entry_->second.users == 0) {
            data_.locks_.erase(entry_);
        }
    }

  private:
    FileData& data_;
    Mode mode_;
    std::map<ext2_ino_t, Lock>::iterator entry_;
};

size_t FileData::read(ext2_ino_t number, uint64_t offset, ByteSpan out) {
    const Hold hold(*this, number, Hold::Mode::shared);
    const auto map = window(number, blocks_of(offset, out.size()), kWindowBlocks);
    if (offset >= map->file_size) {
        return 0;
    }
    out = out.first(std::min<uint64_t>(out.size(), map->file_size - offset));
    for_each_piece(map->runs, offset, out.size(), [&](const Piece& piece) {
        const auto part = out.subspan(piece.offset - offset, piece.length);
        if (piece.on_device == 0) {
            std::ranges::fill(part, std::byte{});
        } else {
            fs_.device().read(piece.on_device, part);
        }
    });
    return out.size();
}

void FileData::write(ext2_ino_t number, uint64_t offset, ConstByteSpan bytes) {
    if (bytes.empty()) {
        return;
    }
    if (offset > INT64_MAX - bytes.size()) {
        fail(EFBIG, "inode " + std::to_string(number) + ": no file can be that large");
    }
    if (!overwrite(number, offset, bytes)) {
        extend(number, offset, bytes);
    }
}

/// False, and nothing is done, if blocks or size would have to change.
bool FileData::overwrite(ext2_ino_t number, uint64_t offset, ConstByteSpan bytes) {
    const Hold hold(*this, number, Hold::Mode::shared);
    const BlockRange range = blocks_of(offset, bytes.size());
    const auto map = window(number, range, range.count);
    const auto is_hole = [&](const BlockRun& run) {
        return part_of(run, range).count != 0 && !is_data(run);
    };
    if (offset + bytes.size() > map->file_size || std::ranges::any_of(map->runs, is_hole)) {
        return false;
    }
    write_runs(map->runs, offset, bytes);
    finish(number, 0);
    return true;
}

void FileData::extend(ext2_ino_t number, uint64_t offset, ConstByteSpan bytes) {
    const Hold hold(*this, number, Hold::Mode::alone);
    const BlockRange range = blocks_of(offset, bytes.size());
    std::vector<BlockRun> before;
    std::vector<BlockRun> after;
    {
        const std::lock_guard lock(fs_.mutex());
        auto inode = fs_.inode(number);
        before = map_blocks(fs_, number, inode, range.first, range.count);
        check_readable(before, offset, bytes.size());
        if (offset > EXT2_I_SIZE(&inode)) {
            zero_tail(number, inode);
        }
        allocate_blocks(fs_, number, inode, range.first, range.count);
        without_way_back([&] { after = map_blocks(fs_, number, inode, range.first, range.count); });
    }
    // Whatever the new blocks held, nobody may see it.
    const uint64_t block_size = fs_.block_size();
    const uint64_t end = offset + bytes.size();
    without_way_back([&] {
        if (!is_data(before.front())) {
            zero(after, range.first * block_size, offset);
        }
        if (!is_data(before.back())) {
            zero(after, end, range.end() * block_size);
        }
        write_runs(after, offset, bytes);
        finish(number, end);
    });
    forget(number);
}

void FileData::resize(ext2_ino_t number, uint64_t size) {
    const Hold hold(*this, number, Hold::Mode::alone);
    const std::lock_guard lock(fs_.mutex());
    auto inode = fs_.inode(number);
    const uint64_t block_size = fs_.block_size();
    if (size > mappable_blocks(fs_, inode) * block_size || size > INT64_MAX) {
        fail(EFBIG, "inode " + std::to_string(number) +
                        ": this kind of file system has no files that large");
    }
    const uint64_t old_size = EXT2_I_SIZE(&inode);
    if (size > old_size) {
        zero_tail(number, inode);
    }
    ExtFilesystem::check(ext2fs_inode_size_set(fs_.handle(), reinterpret_cast<ext2_inode*>(&inode),
                                               static_cast<ext2_off64_t>(size)),
                         "inode " + std::to_string(number));
    if (size < old_size) {
        free_blocks(fs_, number, inode, round_up(size, block_size) / block_size, UINT32_MAX);
    }
    without_way_back([&] {
        if (size < old_size) {
            zero_tail(number, inode);
        }
        set_changed_now(inode);
        fs_.write_inode(number, inode);
    });
    forget(number);
}

/// Blocks that are written in part are read first: a damaged one is met before anything is changed.
void FileData::check_readable(const std::vector<BlockRun>& runs, uint64_t offset, uint64_t length) {
    const uint64_t block_size = fs_.block_size();
    Bytes block(block_size);
    for (const uint64_t at : {offset, offset + length}) {
        const BlockRun* run = at % block_size == 0 ? nullptr : &run_at(runs, at / block_size);
        if (run != nullptr && is_data(*run)) {
            fs_.device().read((run->physical + at / block_size - run->logical) * block_size, block);
        }
    }
}

/// Zeroes what is in the file's last block behind its end. Under fs.mutex().
void FileData::zero_tail(ext2_ino_t number, ext2_inode_large& inode) {
    const uint64_t size = EXT2_I_SIZE(&inode);
    const uint64_t block_size = fs_.block_size();
    const uint64_t end = round_up(size, block_size);
    if (size == end) {
        return;
    }
    const auto runs = map_blocks(fs_, number, inode, size / block_size, 1);
    for_each_piece(runs, size, end - size, [&](const Piece& piece) {
        Bytes tail(piece.length);
        if (piece.on_device == 0) {
            return;
        }
        fs_.device().read(piece.on_device, tail);
        if (std::ranges::any_of(tail, [](std::byte byte) { return byte != std::byte{}; })) {
            std::ranges::fill(tail, std::byte{});
            fs_.device().write(piece.on_device, tail);
        }
    });
}

void FileData::zero(const std::vector<BlockRun>& runs, uint64_t offset, uint64_t end) {
    for_each_piece(runs, offset, end - offset, [&](const Piece& piece) {
        fs_.device().write(piece.on_device, Bytes(piece.length));
    });
}

void FileData::write_runs(const std::vector<BlockRun>& runs, uint64_t offset, ConstByteSpan bytes) {
    for_each_piece(runs, offset, bytes.size(), [&](const Piece& piece) {
        fs_.device().write(piece.on_device, bytes.subspan(piece.offset - offset, piece.length));
    });
}

/// Times, and the size if the file now reaches to `end`.
void FileData::finish(ext2_ino_t number, uint64_t end) {
    const std::lock_guard lock(fs_.mutex());
    auto inode = fs_.inode(number);
    if (end > EXT2_I_SIZE(&inode)) {
        ExtFilesystem::check(
            ext2fs_inode_size_set(fs_.handle(), reinterpret_cast<ext2_inode*>(&inode),
                                  static_cast<ext2_off64_t>(end)),
            "inode " + std::to_string(number));
    }
    set_changed_now(inode);
    fs_.write_inode(number, inode);
}

BlockRange FileData::blocks_of(uint64_t offset, uint64_t length) const {
    const uint64_t block_size = fs_.block_size();
    const uint64_t first = offset / block_size;
    const uint64_t end =
        length > UINT64_MAX - block_size - offset ? UINT64_MAX : offset + length + block_size - 1;
    return {first, end / block_size - first};
}

template <typename Use>
void FileData::for_each_piece(const std::vector<BlockRun>& runs, uint64_t offset, uint64_t length,
                              Use use) const {
    const uint64_t block_size = fs_.block_size();
    while (length != 0) {
        const BlockRun& run = run_at(runs, offset / block_size);
        const uint64_t inside = offset - run.logical * block_size;
        const uint64_t count = std::min(length, run.count * block_size - inside);
        use(Piece{offset, count, is_data(run) ? run.physical * block_size + inside : 0});
        offset += count;
        length -= count;
    }
}

/// Looks up `at_least` blocks if it must look. The inode's lock is held, at least shared.
std::shared_ptr<const FileData::Window> FileData::window(ext2_ino_t number, const BlockRange& range,
                                                         uint64_t at_least) {
    uint64_t epoch = 0;
    if (auto found = cached(number, range, epoch)) {
        return found;
    }
    auto found = std::make_shared<Window>();
    {
        const std::lock_guard lock(fs_.mutex());
        auto inode = fs_.inode(number);
        found->file_size = EXT2_I_SIZE(&inode);
        const uint64_t blocks = blocks_of(0, found->file_size).count;
        if (range.first < blocks) {
            const uint64_t count = std::max(range.count, at_least);
            found->range = {range.first, std::min(count, blocks - range.first)};
            found->runs = map_blocks(fs_, number, inode, range.first, found->range.count);
        }
    }
    if (found->runs.size() <= kWindowBlocks) {
        keep(number, found, epoch);
    }
    return found;
}

std::shared_ptr<const FileData::Window> FileData::cached(ext2_ino_t number, const BlockRange& range,
                                                         uint64_t& epoch) {
    const std::lock_guard lock(cache_mutex_);
    epoch = epoch_;
    const auto found = by_number_.find(number);
    if (found == by_number_.end()) {
        return nullptr;
    }
    const auto& window = found->second->window;
    const uint64_t end = std::min(range.end(), blocks_of(0, window->file_size).count);
    if (range.first < end && (range.first < window->range.first || end > window->range.end())) {
        return nullptr;
    }
    recent_.splice(recent_.begin(), recent_, found->second);
    return window;
}

void FileData::keep(ext2_ino_t number, std::shared_ptr<const Window> window, uint64_t epoch) {
    const std::lock_guard lock(cache_mutex_);
    if (epoch != epoch_) {
        return;  // it may be of before what was forgotten since
    }
    if (const auto old = by_number_.find(number); old != by_number_.end()) {
        old->second->window = std::move(window);
        return;
    }
    recent_.push_front({number, std::move(window)});
    by_number_[number] = recent_.begin();
    if (recent_.size() > kMostWindows) {
        by_number_.erase(recent_.back().number);
        recent_.pop_back();
    }
}

void FileData::forget(ext2_ino_t number) {
    const std::lock_guard lock(cache_mutex_);
    ++epoch_;
    if (const auto found = by_number_.find(number); found != by_number_.end()) {
        recent_.erase(found->second);
        by_number_.erase(found);
    }
}

}  // namespace imgfs
