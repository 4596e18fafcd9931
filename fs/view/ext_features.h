// Which ext file systems can be opened, and the words for those that can't.
#pragma once

#include "fs/view/ext_view.h"

namespace imgfs {

/// Throws, as make_ext_view() documents, unless the file system on `device` can be opened so.
void check_ext_features(const Source& device, ViewAccess access);

}  // namespace imgfs
