// RawView: the partition as one file, `/partition`.
#pragma once

#include <memory>

#include "fs/store/device.h"
#include "fs/view/ext_view.h"

namespace imgfs {

/// `device` must outlive the view. fsync of the file is a commit.
std::unique_ptr<View> make_raw_view(Device& device, ViewAccess access);

}  // namespace imgfs
