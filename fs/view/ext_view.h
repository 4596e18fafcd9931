// ExtView: the files of an ext2, ext3 or ext4 partition through libext2fs.
#pragma once

#include <functional>
#include <memory>

#include "fs/store/device.h"
#include "fs/view/view.h"

namespace imgfs {

enum class ViewAccess { read_only, read_write };

/// `device` must outlive the view. Fails with ENOTSUP, by the feature's name, for what is not
/// handled yet (a journal that needs replay, features that libext2fs can't write safely), EUCLEAN
/// for damage, and EMEDIUMTYPE if there is no ext superblock. Closing the view commits; call
/// commit() first to learn whether that worked.
std::unique_ptr<View> make_ext_view(Device& device, ViewAccess access);

/// Does the device hold an ext superblock?
bool has_ext_superblock(const Source& device);

}  // namespace imgfs
