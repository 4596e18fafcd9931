// Small partclone images in memory, written from the description of the format alone.
#pragma once

#include <string>
#include <vector>

#include "fs/base/bytes.h"

namespace imgfs {

enum class MapEnd { crc, mark };

struct PartcloneSpec {
    uint32_t block_size = 512;
    std::vector<bool> used;         ///< one a block
    uint64_t tail = 0;              ///< bytes of the device behind the last block
    uint16_t checksum_mode = 0x20;  ///< 0, 0x20 CRC32, 0x30 XXH64, 0x31 XXH128
    uint32_t blocks_per_checksum = 3;
    bool restart = true;
    bool bits_past_end = false;    ///< set in the bitmap's last byte
    uint8_t bitmap_mode = 1;       ///< 0 none: `used` are all; 1 bits; 8 bytes
    MapEnd map_end = MapEnd::crc;  ///< of a byte map
    std::string file_system = "EXTFS";
    uint64_t seed = 1;  ///< of the content
};

struct BuiltImage {
    Bytes stream;  ///< as partclone writes it
    Bytes plain;   ///< the partition that it stands for
};
BuiltImage build_partclone(const PartcloneSpec& spec);

/// As partclone wrote before 0.3.0: of the spec count block size, used blocks, tail, name and seed.
/// `checksum_slot`: 4, or the 8 of an old 64-bit partclone.
BuiltImage build_partclone_0001(const PartcloneSpec& spec, size_t checksum_slot = 4);

/// `count` blocks, about `percent` of them used, in runs.
std::vector<bool> used_blocks(size_t count, unsigned percent, uint64_t seed);

/// Makes the header's checksum right again after a change of its fields.
void seal_partclone_header(ByteSpan stream);

}  // namespace imgfs
