#include "fs/view/block_map.h"

#include <algorithm>
#include <cerrno>

#include "fs/base/error.h"
#include "fs/view/extent_tree.h"
#include "fs/view/indirect_map.h"

namespace imgfs {
namespace {

bool has_extents(const ext2_inode_large& inode) {
    return (inode.i_flags & EXT4_EXTENTS_FL) != 0;
}

std::unique_ptr<InodeMap> open_map(ExtFilesystem& fs, ext2_ino_t number,
                                   const ext2_inode_large& inode) {
    if (has_extents(inode)) {
        return std::make_unique<ExtentTree>(fs, number, inode);
    }
    return std::make_unique<IndirectMap>(fs, number, inode);
}

/// The runs with the holes between them, also where the range begins and ends.
std::vector<BlockRun> with_holes(const std::vector<BlockRun>& runs, const BlockRange& range) {
    std::vector<BlockRun> all;
    uint64_t at = range.first;
    const auto fill_up_to = [&](uint64_t logical) {
        if (logical > at) {
            all.push_back({.logical = at, .count = logical - at});
        }
    };
    for (const BlockRun& run : runs) {
        fill_up_to(run.logical);
        all.push_back(run);
        at = run.end();
    }
    fill_up_to(range.end());
    return all;
}

/// Behind the block before the hole, else where the inode lies.
uint64_t goal_for(ExtFilesystem& fs, const InodeMap& map, ext2_ino_t number, uint64_t logical) {
    if (logical > 0) {
        const auto before = map.runs({logical - 1, 1});
        if (!before.empty()) {
            return before.back().physical + 1;
        }
    }
    const ext2_filsys handle = fs.handle();
    return ext2fs_group_first_block2(handle, ext2fs_group_of_ino(handle, number));
}

}  // namespace

uint64_t mappable_blocks(const ExtFilesystem& fs, const ext2_inode_large& inode) {
    return has_extents(inode) ? UINT32_MAX : IndirectMap::most_blocks(fs.block_size());
}

std::vector<BlockRun> map_blocks(ExtFilesystem& fs, ext2_ino_t number, ext2_inode_large& inode,
                                 uint64_t first, uint64_t count) {
    const BlockRange range{first, std::min(count, UINT64_MAX - first)};
    return with_holes(open_map(fs, number, inode)->runs(range), range);
}

void allocate_blocks(ExtFilesystem& fs, ext2_ino_t number, ext2_inode_large& inode, uint64_t first,
                     uint64_t count) {
    const uint64_t most = mappable_blocks(fs, inode);
    if (first > most || count > most - first) {
        fail(EFBIG, "inode " + std::to_string(number) +
                        ": this kind of file system has no files that large");
    }
    const auto map = open_map(fs, number, inode);
    const BlockRange range{first, count};
    const auto before = map->runs(range);
    MapChange change(fs, number, inode);
    std::vector<BlockRun> after;
    uint64_t goal = 0;
    for (BlockRun run : with_holes(before, range)) {
        if (run.physical != 0) {
            run.unwritten = false;
            after.push_back(run);
        } else {
            goal = after.empty() ? goal_for(fs, *map, number, run.logical) : goal;
            const auto taken = change.take(run.logical, run.count, goal);
            after.insert(after.end(), taken.begin(), taken.end());
        }
        goal = after.back().physical + after.back().count;
    }
    if (after != before) {
        map->replace(range, after, change);
        change.apply();
    }
}

void free_blocks(ExtFilesystem& fs, ext2_ino_t number, ext2_inode_large& inode, uint64_t first,
                 uint64_t count) {
    const uint64_t most = mappable_blocks(fs, inode) + 1;
    const BlockRange range{std::min(first, most), std::min(count, most - std::min(first, most))};
    const auto map = open_map(fs, number, inode);
    const auto gone = map->runs(range);
    if (gone.empty()) {
        return;
    }
    MapChange change(fs, number, inode);
    for (const BlockRun& run : gone) {
        change.give_back(run.physical, run.count);
    }
    map->replace(range, {}, change);
    change.apply();
}

}  // namespace imgfs
