// verify_delta: reads what a delta holds, of all its recovery points, and checks every checksum.
#pragma once

#include <optional>

#include "fs/base/progress.h"
#include "fs/image/partition.h"
#include "fs/store/delta_store.h"
#include "fs/transfer/verify_stretch.h"

namespace imgfs {

struct VerifiedDelta {
    uint64_t layers = 0;
    uint64_t records = 0;              ///< whose headers were read
    uint64_t blocks = 0;               ///< of data that were read and compared with their hashes
    std::vector<StoredPiece> damaged;  ///< single blocks
};

/// Walks the records of all layers, and reads of their data the part that is wanted: of m, each
/// m-th record. Calls `report` for each damaged place and goes on; what can't be read (EIO) throws.
VerifiedDelta verify_delta(const DeltaStore& delta, const std::optional<DataPart>& data,
                           const DamageReport& report, const Progress& progress);

}  // namespace imgfs
