// Restore: a partition's bytes onto a block device or into a sparse file.
#pragma once

#include <filesystem>

#include "fs/base/progress.h"
#include "fs/source/source.h"

namespace imgfs {

enum class TargetKind { new_file, existing_file, block_device };

struct RestoreTarget {
    std::filesystem::path path;
    TargetKind kind = TargetKind::new_file;
    uint64_t size = 0;  ///< of a block device
};

/// What `path` is, before anything is written. Fails with EBUSY for a block device that is mounted,
/// used as swap or held by the kernel, with ENOSPC if it is smaller than `size`, with EINVAL for
/// what is neither a file nor a block device.
RestoreTarget inspect_target(const std::filesystem::path& path, uint64_t size);

struct RestoreResult {
    uint64_t written = 0;  ///< bytes; runs of zeros are holes in a file, zeroed ranges on a device
    uint64_t zeros = 0;
};

/// Writes all of `partition`, then syncs. A file is written under another name beside it, and
/// renamed when it is complete and durable: it is there whole, or as it was before. A block device
/// that failed half-way is left as it is, and the error says so.
RestoreResult restore(const Source& partition, const RestoreTarget& target,
                      const Progress& progress);

/// Reads the target back, past the page cache, and compares it with `partition`. Fails with EUCLEAN
/// at the first difference, naming its place. A longer device is compared as far as the partition
/// goes.
void compare_restored(const Source& partition, const std::filesystem::path& target,
                      const Progress& progress);

}  // namespace imgfs
