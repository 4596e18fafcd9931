// Times in an inode: 34 bits of seconds and nanoseconds where it has room for them.
#pragma once

#include <ext2fs/ext2fs.h>
#include <time.h>

namespace imgfs {

timespec accessed(const ext2_inode_large& inode);
timespec modified(const ext2_inode_large& inode);
timespec changed(const ext2_inode_large& inode);

/// A time that the inode can't hold becomes the nearest that it can.
void set_accessed(ext2_inode_large& inode, const timespec& time);
void set_modified(ext2_inode_large& inode, const timespec& time);
void set_changed(ext2_inode_large& inode, const timespec& time);
/// Nothing if the inode has no room for it.
void set_created(ext2_inode_large& inode, const timespec& time);

}  // namespace imgfs
