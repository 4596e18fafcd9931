// Checks every checksum of a partclone image, reading it once from end to end.
#pragma once

#include "fs/image/partclone_layout.h"
#include "fs/image/partition.h"

namespace imgfs {

/// As Partition::verify; `layout` is that of `plain`.
uint64_t verify_partclone(const Source& plain, const PartcloneLayout& layout,
                          const DamageReport& report, const Progress& progress);

}  // namespace imgfs
