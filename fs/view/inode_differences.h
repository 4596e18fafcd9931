// Which inodes differ between two states of an ext file system.
#pragma once

#include <optional>
#include <vector>

#include "fs/base/progress.h"
#include "fs/view/ext_difference.h"
#include "fs/view/ext_filesystem.h"

namespace imgfs {

struct ExtStates {
    ExtFilesystem& before;
    ExtFilesystem& after;
    const SameBytes& same;
};

/// The numbers, in order, of all inodes in use in either state that aren't byte for byte the same
/// in both; of the reserved ones only the root. Of the inode tables only what was written in
/// between is read. ENOTSUP if the file system was made anew.
std::vector<ext2_ino_t> differing_inodes(const ExtStates& states, const Progress& progress);

/// Nothing if it isn't in use.
std::optional<ext2_inode_large> inode_in_use(ExtFilesystem& fs, ext2_ino_t number);

}  // namespace imgfs
