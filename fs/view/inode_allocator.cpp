#include "fs/view/inode_allocator.h"

#include <cerrno>
#include <ctime>
#include <optional>

#include "fs/base/error.h"

namespace imgfs {
namespace {

/// What a group has in the mean; a group with less of either is not the first choice.
struct Average {
    uint64_t inodes;
    uint64_t blocks;
};

Average average(ext2_filsys fs) {
    const uint64_t groups = fs->group_desc_count;
    return {fs->super->s_free_inodes_count / groups, ext2fs_free_blocks_count(fs->super) / groups};
}

/// The lowest free number: what follows the last number ever used may not be initialised.
std::optional<ext2_ino_t> free_inode_in(ext2_filsys fs, dgrp_t group) {
    if (ext2fs_bg_free_inodes_count(fs, group) == 0) {
        return std::nullopt;
    }
    const ext2_ino_t count = EXT2_INODES_PER_GROUP(fs->super);
    const ext2_ino_t first = group * count + 1;
    ext2_ino_t found = 0;
    const errcode_t error = ext2fs_find_first_zero_inode_bitmap2(
        fs->inode_map, std::max(first, static_cast<ext2_ino_t>(EXT2_FIRST_INODE(fs->super))),
        first + count - 1, &found);
    if (error == ENOENT) {
        return std::nullopt;
    }
    ExtFilesystem::check(error, "inode bitmap of group " + std::to_string(group));
    return found;
}

bool has_plenty(ext2_filsys fs, dgrp_t group, const Average& mean) {
    return ext2fs_bg_free_inodes_count(fs, group) >= mean.inodes &&
           ext2fs_bg_free_inodes_count(fs, group) > 0 &&
           ext2fs_bg_free_blocks_count(fs, group) >= mean.blocks;
}

dgrp_t group_with_fewest_directories(ext2_filsys fs) {
    const Average mean = average(fs);
    std::optional<dgrp_t> best;
    for (dgrp_t group = 0; group < fs->group_desc_count; ++group) {
        if (has_plenty(fs, group, mean) && (!best || ext2fs_bg_used_dirs_count(fs, group) <
                                                         ext2fs_bg_used_dirs_count(fs, *best))) {
            best = group;
        }
    }
    return best.value_or(0);
}

dgrp_t first_choice(ext2_filsys fs, ext2_ino_t parent, InodeKind kind) {
    const dgrp_t home = ext2fs_group_of_ino(fs, parent);
    if (kind == InodeKind::file) {
        return home;
    }
    if (parent == EXT2_ROOT_INO) {
        return group_with_fewest_directories(fs);
    }
    Average enough = average(fs);
    enough.inodes /= 2;
    enough.blocks /= 2;
    for (dgrp_t i = 0; i < fs->group_desc_count; ++i) {
        const dgrp_t group = (home + i) % fs->group_desc_count;
        if (has_plenty(fs, group, enough)) {
            return group;
        }
    }
    return home;
}

}  // namespace

ext2_ino_t find_free_inode(ExtFilesystem& fs, ext2_ino_t parent, InodeKind kind) {
    const ext2_filsys handle = fs.handle();
    const dgrp_t first = first_choice(handle, parent, kind);
    for (dgrp_t i = 0; i < handle->group_desc_count; ++i) {
        const auto found = free_inode_in(handle, (first + i) % handle->group_desc_count);
        if (found) {
            return *found;
        }
    }
    fail(ENOSPC, "the file system has no free inodes");
}

void claim_inode(ExtFilesystem& fs, ext2_ino_t number, InodeKind kind) {
    // The kernel wants the block bitmap of a group with inodes to exist.
    ext2fs_clear_block_uninit(fs.handle(), ext2fs_group_of_ino(fs.handle(), number));
    ext2fs_inode_alloc_stats2(fs.handle(), number, +1, kind == InodeKind::directory ? 1 : 0);
}

void erase_inode(ExtFilesystem& fs, ext2_ino_t number) {
    auto inode = fs.inode(number);
    const bool is_directory = LINUX_S_ISDIR(inode.i_mode);
    inode.i_links_count = 0;
    inode.i_dtime = static_cast<uint32_t>(std::time(nullptr));
    fs.write_inode(number, inode);
    ext2fs_inode_alloc_stats2(fs.handle(), number, -1, is_directory ? 1 : 0);
}

}  // namespace imgfs
