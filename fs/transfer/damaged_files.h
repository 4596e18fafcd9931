// Which files of a damaged image can't be read.
#pragma once

#include <functional>
#include <string>

#include "fs/base/progress.h"
#include "fs/view/view.h"

namespace imgfs {

/// Reads every file there is, each inode once, and tells the path ("/etc/fstab") of each that can't
/// be read for damage (EUCLEAN) below it, by one of its names, and why. A directory that can't be
/// listed hides what is in it. `progress`: in bytes.
void find_damaged_files(
    View& view, const std::function<void(const std::string& path, const std::string& why)>& report,
    const Progress& progress);

}  // namespace imgfs
