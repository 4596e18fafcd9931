#include "fs/view/map_change.h"

#include <algorithm>
#include <cerrno>

#include "fs/base/error.h"
#include "fs/base/text.h"
#include "fs/view/half_done.h"

namespace imgfs {
namespace {

/// As many free runs are looked at for one that is long enough.
constexpr int kRunsTried = 64;

constexpr uint64_t kLongestStep = uint64_t{1} << 30;  // libext2fs counts a range in 32 bits

void count_blocks(ext2_filsys fs, uint64_t first, uint64_t count, int in_use) {
    while (count != 0) {
        const uint64_t step = std::min(count, kLongestStep);
        ext2fs_block_alloc_stats_range(fs, first, static_cast<blk_t>(step), in_use);
        first += step;
        count -= step;
    }
}

}  // namespace

MapChange::MapChange(ExtFilesystem& fs, ext2_ino_t number, ext2_inode_large& inode)
    : fs_(fs), number_(number), inode_(inode) {}

MapChange::~MapChange() {
    for (const Range& range : taken_) {
        count_blocks(fs_.handle(), range.first, range.count, -1);
    }
}

std::vector<BlockRun> MapChange::take(uint64_t logical, uint64_t count, uint64_t goal) {
    std::vector<BlockRun> runs;
    while (count != 0) {
        const Range found = find_free(goal, count);
        count_blocks(fs_.handle(), found.first, found.count, +1);
        taken_.push_back(found);
        runs.push_back({.logical = logical, .physical = found.first, .count = found.count});
        logical += found.count;
        count -= found.count;
        goal = found.first + found.count;
    }
    return runs;
}

uint64_t MapChange::take_node(uint64_t goal) {
    return take(0, 1, goal).front().physical;
}

/// A free run of at most `wanted` blocks: at the goal if there is one, else the first that is long
/// enough behind it, else the longest of those seen.
MapChange::Range MapChange::find_free(uint64_t goal, uint64_t wanted) const {
    const ext2_filsys fs = fs_.handle();
    const uint64_t lowest = fs->super->s_first_data_block;
    uint64_t end = ext2fs_blocks_count(fs->super);
    if ((inode_.i_flags & EXT4_EXTENTS_FL) == 0) {
        end = std::min<uint64_t>(end, uint64_t{1} << 32);  // an indirect block's entry has 32 bits
    }
    goal = goal < lowest || goal >= end ? lowest : goal;
    Range best{0, 0};
    uint64_t from = goal;
    bool wrapped = false;
    for (int tried = 0; tried < kRunsTried || best.count == 0;) {
        blk64_t first = 0;
        if (from >= end ||
            ext2fs_find_first_zero_block_bitmap2(fs->block_map, from, end - 1, &first) != 0) {
            if (wrapped) {
                break;
            }
            wrapped = true;
            from = lowest;
            end = std::max(goal, lowest);
            continue;
        }
        blk64_t last = std::min<uint64_t>(first + wanted, end) - 1;
        blk64_t used = 0;
        if (ext2fs_find_first_set_block_bitmap2(fs->block_map, first, last, &used) != 0) {
            used = last + 1;
        }
        if (used - first > best.count) {
            best = {first, used - first};
        }
        if (best.count == wanted || first == goal) {
            break;
        }
        from = used;
        ++tried;
    }
    if (best.count == 0) {
        fail(ENOSPC, "no space is left in the file system");
    }
    return best;
}

void MapChange::give_back(uint64_t physical, uint64_t count) {
    const ext2_filsys fs = fs_.handle();
    blk64_t free = 0;
    if (physical < fs->super->s_first_data_block ||
        physical + count > ext2fs_blocks_count(fs->super) ||
        ext2fs_find_first_zero_block_bitmap2(fs->block_map, physical, physical + count - 1,
                                             &free) == 0) {
        fail(EUCLEAN, "inode " + std::to_string(number_) + ": its " + format_count(count) +
                          " blocks from " + format_count(physical) +
                          " on are free; run e2fsck on the partition");
    }
    given_back_.push_back({physical, count});
}

void MapChange::set_node(uint64_t block, Bytes content) {
    nodes_[block] = std::move(content);
}

void MapChange::set_root(ConstByteSpan content) {
    root_.assign(content.begin(), content.end());
}

Bytes MapChange::node(uint64_t block) const {
    if (const auto found = nodes_.find(block); found != nodes_.end()) {
        return found->second;
    }
    Bytes bytes(fs_.block_size());
    ExtFilesystem::check(io_channel_read_blk64(fs_.handle()->io, block, 1, bytes.data()),
                         "inode " + std::to_string(number_) + ": map block " + format_count(block));
    return bytes;
}

void MapChange::apply() {
    // Half of it may be written when it fails, also in libext2fs' cache of inodes.
    without_way_back([this] { write(); });
    taken_.clear();
}

/// Whoever is given the blocks writes all of them, so what they hold may stay if a full disk has no
/// room to note that it is gone.
void MapChange::discard(const Range& range) {
    try {
        fs_.device().discard(range.first * fs_.block_size(), range.count * fs_.block_size());
    } catch (const std::system_error& error) {
        if (errno_of(error) != ENOSPC && errno_of(error) != EDQUOT) {
            throw;
        }
    }
}

void MapChange::write() {
    const std::string name = "inode " + std::to_string(number_);
    const ext2_filsys fs = fs_.handle();
    const auto inode = reinterpret_cast<ext2_inode*>(&inode_);
    for (const Range& range : given_back_) {
        nodes_.erase(range.first);  // a node, if it is one
        count_blocks(fs, range.first, range.count, -1);
        discard(range);
        ExtFilesystem::check(ext2fs_iblk_sub_blocks(fs, inode, range.count), name);
    }
    for (const auto& [block, content] : nodes_) {
        ExtFilesystem::check(io_channel_write_blk64(fs->io, block, 1, content.data()), name);
    }
    for (const Range& range : taken_) {
        ExtFilesystem::check(ext2fs_iblk_add_blocks(fs, inode, range.count), name);
    }
    if (!root_.empty()) {
        std::ranges::copy(root_, std::as_writable_bytes(std::span(inode_.i_block)).begin());
    }
    fs_.write_inode(number_, inode_);
}

}  // namespace imgfs
