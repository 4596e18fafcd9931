// PartcloneLayout: where everything stands in the stream of a partclone image.
#pragma once

#include "fs/image/block_bitmap.h"
#include "fs/image/partclone_header.h"
#include "fs/image/partition.h"

namespace imgfs {

struct PartcloneLayout {
    PartcloneHeader header;
    BlockBitmap used;
    Proof bitmap_proof = Proof::crc;

    uint64_t data_start() const {
        return header.size + header.bitmap_size() + size_of(bitmap_proof);
    }
    /// Of the used block that has `rank` used blocks before it; checksums stand between.
    uint64_t block_offset(uint64_t rank) const;
    /// Used blocks that are complete before `offset` of the stream.
    uint64_t blocks_before(uint64_t offset) const;
    /// Checksummed runs of used blocks; 0 if there are no checksums.
    uint64_t strip_count() const;
    uint64_t stream_end() const;
    /// Bytes behind it that mean nothing: how wide the checksums of version 0001 are isn't always
    /// to be told.
    uint64_t most_behind_end() const;
};

/// Reads header and bitmap, of version 0001 the first two blocks' checksums too. A stream that is
/// too short for them is EUCLEAN; so is one that is known to be too short for the blocks, unless
/// what is readable is asked for.
PartcloneLayout read_partclone_layout(const Source& plain,
                                      CheckStrips when = CheckStrips::where_needed);

}  // namespace imgfs
