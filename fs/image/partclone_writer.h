// PartcloneWriter: the stream of a new partclone image, version 0002.
#pragma once

#include <functional>
#include <string>

#include "fs/image/block_bitmap.h"
#include "fs/image/strip_checksum.h"

namespace imgfs {

struct NewPartclone {
    std::string file_system;   ///< as partclone names it: "EXTFS"
    uint64_t device_size = 0;  ///< bytes, no fewer than the blocks have
    uint32_t block_size = 0;
    ChecksumMode checksum = ChecksumMode::crc32;  ///< one that version 0002 has
};

/// For the use of one thread.
class PartcloneWriter {
  public:
    /// Takes the stream in order. What it throws is thrown on.
    using Write = std::function<void(ConstByteSpan)>;

    /// Writes header and bitmap.
    PartcloneWriter(const NewPartclone& image, const BlockBitmap& used, Write write);

    /// The bytes of the used blocks, in order, in pieces of any size.
    void add(ConstByteSpan blocks);

    /// After all of them.
    void finish();

  private:
    void end_strip();

    const Write write_;
    const uint64_t strip_size_;  // plain bytes
    uint64_t in_strip_ = 0;
    StripChecksum checksum_;
};

}  // namespace imgfs
