// Two states of one delta, compared without reading them.
#pragma once

#include "fs/store/delta_store.h"

namespace imgfs {

/// Does the delta have the same of these bytes of the device in both states? What was written in
/// between counts as different, whatever it was. Each state is one store's at(), or that store.
bool same_bytes(const DeltaStore& left, const DeltaStore& right, uint64_t offset, uint64_t length);

}  // namespace imgfs
