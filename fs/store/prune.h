// Prune: recovery points go, and the space with them that no other point needs.
#pragma once

#include "fs/base/progress.h"
#include "fs/store/delta_store.h"

namespace imgfs {

/// Of the store's points, the oldest first, those stay for which `keeps` is true, bit for bit; the
/// newest must. What was set aside goes as well. It can be killed at any moment: each point that
/// stays is there before, during and after it, and the next prune goes on. Needs space for the
/// layers that are made; ENOSPC leaves what was done so far. Progress is that of each merge.
void prune(DeltaStore& store, const std::vector<bool>& keeps, const Progress& progress);

}  // namespace imgfs
