// What an ext inode's fields mean: owners, sizes, device numbers.
#pragma once

#include "fs/view/ext_filesystem.h"
#include "fs/view/view.h"

namespace imgfs {

Attributes attributes_of(ExtFilesystem& fs, ext2_ino_t number, const ext2_inode_large& inode);

uint64_t size_of(const ext2_inode_large& inode);
uint32_t uid_of(const ext2_inode_large& inode);
uint32_t gid_of(const ext2_inode_large& inode);
void set_uid(ext2_inode_large& inode, uint32_t uid);
void set_gid(ext2_inode_large& inode, uint32_t gid);

timespec time_now();

/// The number of a device node lies where other inodes have their blocks.
void set_device(ext2_inode_large& inode, uint64_t device);

/// A symbolic link's target that lies in the inode itself.
bool has_target_inside(const ext2_inode_large& inode);

/// Can it have blocks of its own? Not devices, fifos, sockets and short symbolic links.
bool has_block_map(const ext2_inode_large& inode);

/// The whole inode, what follows the known fields included.
Bytes read_raw_inode(ExtFilesystem& fs, ext2_ino_t number);
void write_raw_inode(ExtFilesystem& fs, ext2_ino_t number, Bytes& raw);

inline ext2_inode* plain(ext2_inode_large& inode) {
    return reinterpret_cast<ext2_inode*>(&inode);
}

}  // namespace imgfs
