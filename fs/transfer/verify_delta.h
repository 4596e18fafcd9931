// Checks every block that a delta holds.
#pragma once

#include "fs/image/partition.h"
#include "fs/store/delta_store.h"

namespace imgfs {

/// Reads all blocks of the last commit, calls `report` for each one that is damaged and goes on.
/// Returns how many it read.
uint64_t verify_delta(const DeltaStore& delta, const DamageReport& report);

}  // namespace imgfs
