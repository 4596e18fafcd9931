// What the kernel asks of a mount, answered from a View.
#pragma once

#include "fs/mount/fuse_api.h"

namespace imgfs {

/// The session's user data is a MountedView.
fuse_lowlevel_ops fuse_operations();

/// The parts of it.
void add_name_operations(fuse_lowlevel_ops& operations);
void add_file_operations(fuse_lowlevel_ops& operations);
void add_directory_operations(fuse_lowlevel_ops& operations);
void add_xattr_operations(fuse_lowlevel_ops& operations);

}  // namespace imgfs
