// verify_stretch: reads one of several equal stretches of a partition, as its readers would.
#pragma once

#include "fs/base/progress.h"
#include "fs/image/partition.h"

namespace imgfs {

/// The number-th of so many parts, from 1 on.
struct DataPart {
    uint64_t number = 1;
    uint64_t of = 1;
};

/// Calls `report` for each damaged place and goes on; what can't be read (EIO) throws. Returns how
/// many bytes were read.
uint64_t verify_stretch(const Source& partition, const DataPart& part, const DamageReport& report,
                        const Progress& progress);

}  // namespace imgfs
