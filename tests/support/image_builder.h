// Small partclone images in memory, written from the description of the format alone.
#pragma once

#include <string>
#include <vector>

#include "fs/base/bytes.h"

namespace imgfs {

struct PartcloneSpec {
    uint32_t block_size = 512;
    std::vector<bool> used;         ///< one a block
    uint64_t tail = 0;              ///< bytes of the device behind the last block
    uint16_t checksum_mode = 0x20;  ///< 0, 0x20 CRC32, 0x30 XXH64, 0x31 XXH128
    uint32_t blocks_per_checksum = 3;
    bool restart = true;
    bool bits_past_end = false;  ///< set in the bitmap's last byte
    std::string file_system = "EXTFS";
    uint64_t seed = 1;  ///< of the content
};

struct BuiltImage {
    Bytes stream;  ///< as partclone writes it
    Bytes plain;   ///< the partition that it stands for
};
BuiltImage build_partclone(const PartcloneSpec& spec);

/// `count` blocks, about `percent` of them used, in runs.
std::vector<bool> used_blocks(size_t count, unsigned percent, uint64_t seed);

/// Makes the header's checksum right again after a change of its fields.
void seal_partclone_header(ByteSpan stream);

}  // namespace imgfs
