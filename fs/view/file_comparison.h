// One file in two states of an ext file system, or two files.
#pragma once

#include "fs/view/inode_differences.h"

namespace imgfs {

/// An inode in use.
struct FoundInode {
    ext2_ino_t number = 0;
    ext2_inode_large inode{};
};

struct FilePair {
    FoundInode before;
    FoundInode after;
};

/// Type, size and what is read of it; of directories nothing is compared. Files whose blocks lie
/// elsewhere now are taken to differ, unread; else what was written in between is read.
bool same_content(const ExtStates& states, const FilePair& files);

/// Of an inode that doesn't differ: was none of its data written in between? Reads none of it.
bool is_untouched(const ExtStates& states, ext2_ino_t number);

/// Whether it was only given another name, which changes its ctime.
enum class NameChange { none, renamed };

/// Mode, owner, attributes, and if it is no directory links and times, but for that of access.
bool same_metadata(const ExtStates& states, const FilePair& files, NameChange change);

}  // namespace imgfs
