// Which files differ between two states of an ext file system.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "fs/base/progress.h"
#include "fs/store/device.h"

namespace imgfs {

/// Are these bytes of the device the same in both states, as far as can be told without reading?
using SameBytes = std::function<bool(uint64_t offset, uint64_t length)>;

struct DeviceStates {
    Device& before;
    Device& after;
    SameBytes same;
};

struct FileDifference {
    enum class Kind {
        added,
        changed,  ///< its content
        deleted,
        metadata,  ///< owner, mode, times, links or attributes, and not the content
        renamed
    };

    Kind kind = Kind::added;
    std::string path;      ///< "/etc/fstab"
    std::string new_path;  ///< of what was renamed

    bool operator==(const FileDifference&) const = default;
};

/// Sorted by path; each name of a file with hard links is one. Times of access are no difference,
/// and of a directory neither is what follows from its names having changed. What is below a
/// renamed directory has not changed its name. A file that was replaced by another of its name and
/// type has changed. Whoever set back a file's times with a disk editor is not found out.
/// Reads the directories, and else little more than was written between the states. Errors as
/// make_ext_view(); ENOTSUP if the file system was made anew. `progress`: in bytes of inodes.
std::vector<FileDifference> find_differences(const DeviceStates& states, const Progress& progress);

}  // namespace imgfs
