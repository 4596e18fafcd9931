// Which inode number a new file gets, and what becomes of the number when it is freed.
#pragma once

#include "fs/view/ext_filesystem.h"

namespace imgfs {

enum class InodeKind { file, directory };

/// A free number: in the group of its directory, where its neighbours' inodes and data are;
/// directories right below the root are spread over the groups. Nothing is changed. ENOSPC if all
/// are used. The caller holds fs.mutex(), here and below.
ext2_ino_t find_free_inode(ExtFilesystem& fs, ext2_ino_t parent, InodeKind kind);

/// Marks the number as used.
void claim_inode(ExtFilesystem& fs, ext2_ino_t number, InodeKind kind);

/// Writes it as deleted and marks the number as free. The caller has freed its blocks.
void erase_inode(ExtFilesystem& fs, ext2_ino_t number);

}  // namespace imgfs
