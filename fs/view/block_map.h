// Where a file's blocks lie: extents (ext4) or indirect blocks (ext2, ext3), one interface.
#pragma once

#include <vector>

#include "fs/view/block_run.h"
#include "fs/view/ext_filesystem.h"

namespace imgfs {

/// The runs that cover [first, first + count) without a gap, holes included. The caller holds
/// fs.mutex().
std::vector<BlockRun> map_blocks(ExtFilesystem& fs, ext2_ino_t number, ext2_inode_large& inode,
                                 uint64_t first, uint64_t count);

/// Gives every hole in the range blocks, whose content the caller must write, and makes unwritten
/// ones written (the parts of them outside the range stay unwritten or are zeroed). ENOSPC and
/// EFBIG change nothing. Updates and writes the inode.
void allocate_blocks(ExtFilesystem& fs, ext2_ino_t number, ext2_inode_large& inode, uint64_t first,
                     uint64_t count);

/// Frees and discards all blocks of the range and what the map itself no longer needs. Updates and
/// writes the inode, not its size.
void free_blocks(ExtFilesystem& fs, ext2_ino_t number, ext2_inode_large& inode, uint64_t first,
                 uint64_t count);

/// The number of blocks that the inode's kind of map can hold.
uint64_t mappable_blocks(const ExtFilesystem& fs, const ext2_inode_large& inode);

}  // namespace imgfs
