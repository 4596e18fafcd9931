#include "fs/store/cow_device.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "fs/base/error.h"

namespace imgfs {
namespace {

// Promises of operations that ended without using them are not piled up beyond this.
constexpr uint64_t kMostPromisedBlocks = 64 * kMiB / kBlockSize;

constexpr Block kZeroBlock{};

}  // namespace

/// A range of bytes that is being read, and where they go.
class CowDevice::Window {
  public:
    Window(uint64_t offset, ByteSpan out) : offset_(offset), out_(out) {}

    uint64_t offset() const { return offset_; }
    ByteSpan out() const { return out_; }
    uint64_t first_block() const { return offset_ / kBlockSize; }
    uint64_t end_block() const { return blocks_of(offset_ + out_.size()); }

    /// What of it lies in these blocks, at least one of which it touches.
    Window part(uint64_t first, uint64_t count) const {
        const auto begin = std::max(offset_, first * kBlockSize);
        const auto end = std::min(offset_ + out_.size(), (first + count) * kBlockSize);
        return {begin, out_.subspan(begin - offset_, end - begin)};
    }

  private:
    uint64_t offset_;
    ByteSpan out_;
};

/// A write or discard: whole blocks, and up to two parts of blocks.
struct CowDevice::Change {
    struct Part {
        uint64_t block;
        uint64_t skip;
        ConstByteSpan bytes;
        BlockData below;  // what the block is without current_ and cut_
    };

    uint64_t first = 0;  // whole blocks [first, end)
    uint64_t end = 0;
    std::vector<BlockData> blocks;  // one for each whole block of a write
    std::vector<Part> parts;
    Space space;
    uint64_t settled = 0;  // when `below` was read
};

CowDevice::CowDevice(std::unique_ptr<Source> base, DeltaStore& delta)
    : base_(std::move(base)), delta_(delta), log_end_(delta.log_end()) {
    if (base_->size() != delta.device_size()) {
        fail(EINVAL, "the delta is of a device of " + std::to_string(delta.device_size()) +
                         " bytes, this one has " + std::to_string(base_->size()));
    }
}

void CowDevice::read_inside(uint64_t offset, ByteSpan out) const {
    for (const auto& gap : copy_changed({offset, out})) {
        read_below(gap);
    }
}

std::vector<CowDevice::Window> CowDevice::copy_changed(const Window& window) const {
    std::vector<Window> gaps;
    const auto copy = [&](uint64_t first, uint64_t count, Overlay::Kind kind, const Block* data) {
        const auto part = window.part(first, count);
        if (kind == Overlay::Kind::absent) {
            gaps.push_back(part);
        } else if (kind == Overlay::Kind::zeros) {
            std::ranges::fill(part.out(), std::byte{});
        } else {
            const auto skip = part.offset() - first * kBlockSize;
            std::ranges::copy(ConstByteSpan(*data).subspan(skip, part.out().size()),
                              part.out().begin());
        }
    };
    const std::shared_lock lock(mutex_);
    current_.visit(window.first_block(), window.end_block(),
                   [&](uint64_t first, uint64_t count, Overlay::Kind kind, const Block* data) {
                       if (kind == Overlay::Kind::absent) {
                           cut_.visit(first, first + count, copy);
                       } else {
                           copy(first, count, kind, data);
                       }
                   });
    return gaps;
}

void CowDevice::read_below(const Window& window) const {
    for (const auto& piece : delta_.find(window.first_block(), window.end_block())) {
        const auto part = window.part(piece.first_block, piece.count);
        switch (piece.kind) {
            case StoredPiece::Kind::absent:
                base_->read(part.offset(), part.out());
                break;
            case StoredPiece::Kind::zeros:
                std::ranges::fill(part.out(), std::byte{});
                break;
            case StoredPiece::Kind::data:
                delta_.read(piece, part.offset(), part.out());
                break;
        }
    }
}

namespace {

struct Split {
    uint64_t first;  // whole blocks [first, end); the short block at the device's end counts
    uint64_t end;
    uint64_t head;  // bytes before them
    uint64_t tail;  // bytes behind them
};

Split split(uint64_t offset, uint64_t length, uint64_t device_size) {
    const auto stop = offset + length;
    const auto first = blocks_of(offset);
    const auto end = stop == device_size ? blocks_of(stop) : stop / kBlockSize;
    if (end < first) {
        return {first, first, length, 0};  // inside one block
    }
    const auto head = std::min(first * kBlockSize - offset, length);
    return {first, end, head, stop - std::min(stop, std::max(end, first) * kBlockSize)};
}

}  // namespace

void CowDevice::write_inside(uint64_t offset, ConstByteSpan bytes) {
    const auto range = split(offset, bytes.size(), size());
    Change change{.first = range.first, .end = range.end};
    auto whole = bytes.subspan(range.head, bytes.size() - range.head - range.tail);
    for (; !whole.empty(); whole = whole.subspan(std::min(whole.size(), kBlockSize))) {
        change.blocks.push_back(block_of(whole.first(std::min(whole.size(), kBlockSize))));
    }
    if (range.head != 0) {
        change.parts.push_back(
            {offset / kBlockSize, offset % kBlockSize, bytes.first(range.head), nullptr});
    }
    if (range.tail != 0) {
        change.parts.push_back({range.end, 0, bytes.last(range.tail), nullptr});
    }
    change.space = {.data_blocks = change.blocks.size() + change.parts.size()};
    make(change);
}

void CowDevice::discard_inside(uint64_t offset, uint64_t length) {
    const auto range = split(offset, length, size());
    Change change{.first = range.first, .end = range.end};
    const ConstByteSpan zeros(kZeroBlock);
    if (range.head != 0) {
        change.parts.push_back(
            {offset / kBlockSize, offset % kBlockSize, zeros.first(range.head), nullptr});
    }
    if (range.tail != 0) {
        change.parts.push_back({range.end, 0, zeros.first(range.tail), nullptr});
    }
    change.space = {.data_blocks = change.parts.size(), .zero_runs = 2};
    make(change);
}

void CowDevice::make(Change& change) {
    claim(change.space);
    try {
        do {
            read_below_parts(change);
        } while (!apply(change));
    } catch (...) {
        const std::unique_lock lock(mutex_);
        end_claim(change.space);
        throw;
    }
}

void CowDevice::read_below_parts(Change& change) const {
    {
        const std::shared_lock lock(mutex_);
        change.settled = settled_;
        if (std::ranges::none_of(change.parts, [&](const Change::Part& part) {
                return current_.kind(part.block) == Overlay::Kind::absent &&
                       cut_.kind(part.block) == Overlay::Kind::absent;
            })) {
            return;
        }
    }
    for (auto& part : change.parts) {
        const auto start = part.block * kBlockSize;
        part.below = std::make_unique<Block>();
        const auto length = std::min(kBlockSize, size() - start);
        read_below({start, ByteSpan(*part.below).first(length)});
    }
}

// False: a sync has moved blocks since the parts were read; they must be read again.
bool CowDevice::apply(Change& change) {
    const std::unique_lock lock(mutex_);
    if (dropped_) {
        fail(EROFS, why_read_only());
    }
    if (change.settled != settled_) {
        return false;
    }
    for (auto& part : change.parts) {
        if (current_.kind(part.block) == Overlay::Kind::absent) {
            const auto in_cut = cut_.kind(part.block);
            if (in_cut == Overlay::Kind::absent) {
                current_.put(part.block, std::move(part.below));
            } else {
                current_.put(part.block, cut_.copy(part.block));
            }
        }
        std::ranges::copy(part.bytes,
                          current_.open(part.block).begin() + static_cast<ptrdiff_t>(part.skip));
    }
    if (change.blocks.empty() && change.first < change.end) {
        current_.put_zeros(change.first, change.end - change.first);
    }
    for (size_t i = 0; i < change.blocks.size(); ++i) {
        current_.put(change.first + i, std::move(change.blocks[i]));
    }
    end_claim(change.space);
    return true;
}

void CowDevice::reserve(uint64_t bytes) {
    if (read_only()) {
        fail(EROFS, why_read_only());
    }
    // A promise counts only once its space is there: another's claim must not fail for want of it.
    const std::lock_guard growing(growth_mutex_);
    uint64_t end = 0;
    uint64_t added = 0;
    {
        const std::shared_lock lock(mutex_);
        const auto wanted = blocks_of(bytes) + 1;  // the range may begin inside a block
        const auto most = std::max(wanted, kMostPromisedBlocks);
        added = std::min(wanted, most - std::min(most, promised_blocks_));
        end = claimed_end(added);
    }
    delta_.reserve_until(end);
    const std::unique_lock lock(mutex_);
    promised_blocks_ += added;
}

void CowDevice::claim(const Space& space) {
    {
        const std::unique_lock lock(mutex_);
        if (space.zero_runs == 0 && space.data_blocks <= promised_blocks_) {
            promised_blocks_ -= space.data_blocks;
            in_flight_.data_blocks += space.data_blocks;
            return;
        }
    }
    const std::lock_guard growing(growth_mutex_);
    uint64_t end = 0;
    uint64_t was_promised = 0;
    {
        const std::unique_lock lock(mutex_);
        was_promised = std::min(promised_blocks_, space.data_blocks);
        promised_blocks_ -= was_promised;
        in_flight_.data_blocks += space.data_blocks;
        in_flight_.zero_runs += space.zero_runs;
        end = claimed_end(0);
    }
    try {
        delta_.reserve_until(end);
    } catch (...) {
        const std::unique_lock lock(mutex_);
        end_claim(space);
        promised_blocks_ += was_promised;
        throw;
    }
}

void CowDevice::end_claim(const Space& space) {
    in_flight_.data_blocks -= space.data_blocks;
    in_flight_.zero_runs -= space.zero_runs;
}

// Where the log ends when all that is held, under way, promised and `wanted` has been committed.
uint64_t CowDevice::claimed_end(uint64_t wanted) const {
    const auto new_blocks = in_flight_.data_blocks + promised_blocks_ + wanted;
    return log_end_ + DeltaStore::space_for(cut_.data_blocks(), cut_.zero_runs()) +
           DeltaStore::space_for(
               current_.data_blocks() + new_blocks,
               // each of them may stand in the middle of a zero run, which then is two
               current_.zero_runs() + in_flight_.zero_runs + new_blocks);
}

uint64_t CowDevice::dirty_bytes() const {
    const std::shared_lock lock(mutex_);
    return (current_.data_blocks() + current_.zero_runs()) * kBlockSize;
}

void CowDevice::cut() {
    if (!delta_.why_read_only().empty()) {
        return;  // sync() says so
    }
    const std::unique_lock lock(mutex_);
    if (!cut_.empty()) {
        fail(EINVAL, "a second cut before the sync of the first");
    }
    std::swap(current_, cut_);
    promised_blocks_ = 0;
}

void CowDevice::sync() {
    const std::lock_guard syncing(syncing_);
    auto stopped = delta_.why_read_only();
    if (!stopped.empty()) {
        fail(EROFS, stopped);
    }
    delta_.commit(cut_);
    Overlay done;  // freed when the lock is no longer held
    const std::unique_lock lock(mutex_);
    std::swap(done, cut_);
    log_end_ = delta_.log_end();
    ++settled_;
}

void CowDevice::seal(const NewPoint& point) {
    make_point(point);
    try {
        compact();
    } catch (const std::system_error&) {
        // The point is there, only larger.
    }
}

void CowDevice::compact() {
    auto merge = [this] {
        const std::lock_guard syncing(syncing_);
        return delta_.begin_compaction();
    }();
    if (!merge) {
        return;
    }
    try {
        merge->run();
    } catch (...) {
        const std::lock_guard syncing(syncing_);
        delta_.drop_merge();
        throw;
    }
    const std::lock_guard syncing(syncing_);
    delta_.finish_merge(*merge);
}

void CowDevice::make_point(const NewPoint& point) {
    const std::lock_guard syncing(syncing_);
    delta_.write_whole_map();  // takes time: nobody need wait for it
    const std::lock_guard growing(growth_mutex_);
    const std::unique_lock lock(mutex_);
    // What was written after the cut goes into the next layer, and has been promised its space.
    const auto before = std::exchange(log_end_, kLogStart);
    try {
        delta_.seal(point, claimed_end(0));
    } catch (...) {
        log_end_ = before;
        throw;
    }
    log_end_ = delta_.log_end();
}

void CowDevice::drop_uncommitted() {
    const std::lock_guard syncing(syncing_);
    dropped_ = true;
    const std::unique_lock lock(mutex_);
    current_.clear();
    cut_.clear();
    ++settled_;
}

bool CowDevice::read_only() const {
    return dropped_ || delta_.read_only();
}

std::string CowDevice::why_read_only() const {
    auto stopped = delta_.why_read_only();
    if (!stopped.empty()) {
        return stopped;
    }
    return dropped_ ? "an operation failed half-way; " + describe_safe(delta_.state()) +
                          ", later writes are lost; imgfs umount and mount again"
                    : "opened read-only";
}

}  // namespace imgfs
