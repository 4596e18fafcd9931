// StripChecksum: the checksum that stands after each strip of blocks in a partclone image.
#pragma once

#include "fs/base/checksum.h"

namespace imgfs {

/// As the header stores it.
enum class ChecksumMode : uint16_t { none = 0x00, crc32 = 0x20, xxh64 = 0x30, xxh128 = 0x31 };

class StripChecksum {
  public:
    explicit StripChecksum(ChecksumMode mode) : mode_(mode) {}

    void restart();
    void update(ConstByteSpan bytes);

    /// Whether `stored`, of the mode's size, fits what came since the restart.
    bool matches(ConstByteSpan stored) const;

  private:
    ChecksumMode mode_;
    uint32_t crc_ = 0;
    Xxh64 xxh64_;
    Xxh128 xxh128_;
};

/// partclone leaves out the last inversion of the CRC-32 that everybody else makes.
uint32_t partclone_crc32(ConstByteSpan bytes);

}  // namespace imgfs
