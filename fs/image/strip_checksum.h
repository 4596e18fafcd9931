// StripChecksum: the checksum that stands after each strip of blocks in a partclone image.
#pragma once

#include "fs/base/checksum.h"

namespace imgfs {

/// As the header of version 0002 stores it; the last is all that version 0001 has.
enum class ChecksumMode : uint16_t {
    none = 0x00,
    crc32 = 0x20,
    xxh64 = 0x30,
    xxh128 = 0x31,
    crc32_of_first_bytes = 0xFFFF
};

class StripChecksum {
  public:
    StripChecksum(ChecksumMode mode, uint32_t block_size) : mode_(mode), block_size_(block_size) {}

    void restart();
    void update(ConstByteSpan bytes);

    /// As it is stored, of what came since the restart.
    Bytes value() const;

    /// Whether `stored`, of the mode's size or longer, fits what came since the restart.
    bool matches(ConstByteSpan stored) const;

  private:
    void update_first_bytes(ConstByteSpan bytes);

    ChecksumMode mode_;
    uint32_t block_size_;
    uint64_t in_block_ = 0;  // bytes of the block that came already
    uint32_t crc_ = 0;
    Xxh64 xxh64_;
    Xxh128 xxh128_;
};

/// partclone leaves out the last inversion of the CRC-32 that everybody else makes.
uint32_t partclone_crc32(ConstByteSpan bytes);

/// crc32() of `count` times that byte.
uint32_t crc32_of_repeated(std::byte byte, uint64_t count, uint32_t previous);

}  // namespace imgfs
