// PartcloneLayout: where everything stands in the stream of a partclone 0002 image.
#pragma once

#include <string>

#include "fs/image/block_bitmap.h"
#include "fs/image/strip_checksum.h"
#include "fs/source/source.h"

namespace imgfs {

struct PartcloneHeader {
    std::string made_by;  ///< partclone's version, printable
    std::string file_system;
    uint64_t device_size = 0;
    uint64_t total_blocks = 0;
    uint32_t block_size = 0;
    ChecksumMode checksum_mode = ChecksumMode::none;
    uint16_t checksum_size = 0;
    uint32_t blocks_per_checksum = 0;  ///< 0 if there are no checksums
    bool checksums_restart = true;

    uint64_t bitmap_size() const { return (total_blocks + 7) / 8; }
};

constexpr uint64_t kPartcloneHeaderSize = 110;
constexpr uint64_t kPartcloneCrcSize = 4;  // of header and bitmap, whatever the strips have

/// Checks every field and the header's checksum; total_blocks * block_size <= device_size < 2^63
/// holds after it.
PartcloneHeader read_partclone_header(const Source& plain);

struct PartcloneLayout {
    PartcloneHeader header;
    BlockBitmap used;

    uint64_t data_start() const {
        return kPartcloneHeaderSize + header.bitmap_size() + kPartcloneCrcSize;
    }
    /// Of the used block that has `rank` used blocks before it; checksums stand between.
    uint64_t block_offset(uint64_t rank) const;
    /// Used blocks that are complete before `offset` of the stream.
    uint64_t blocks_before(uint64_t offset) const;
    /// Checksummed runs of used blocks; 0 if there are no checksums.
    uint64_t strip_count() const;
    uint64_t stream_end() const;
};

/// Reads header and bitmap; a stream that is too short for them, or for the blocks, is EUCLEAN.
PartcloneLayout read_partclone_layout(const Source& plain);

}  // namespace imgfs
