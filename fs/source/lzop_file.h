// Reads the files of an lzop archive: where they and their blocks begin and end.
//
//   archive = { file } { zero byte }
//   file    = 89 4c 5a 4f 00 0d 0a 1a 0a, header, [ extra field ], { block }, 0 (4)
//   header  = version (2), of the library (2), [ needed version (2) ], method (1), [ level (1) ],
//             flags (4), [ filter (4) ], mode (4), time (4), [ time's high half (4) ],
//             length of the name (1), name, checksum of the header (4)
//   extra   = length (4), bytes, their checksum (4)
//   block   = plain size (4), packed size (4), [ checksums of the plain bytes (4 each) ],
//             [ checksums of the packed bytes (4 each) ], bytes
//
// Numbers are big-endian. What stands in [ ] depends on the version (0x0940 and later) or on a
// flag. A block whose two sizes are the same isn't packed and has no checksums of packed bytes.
#pragma once

#include <optional>

#include "fs/source/packed_reader.h"

namespace imgfs {

struct LzopFlags {
    uint32_t bits = 0;

    bool plain_adler() const { return (bits & 0x0001) != 0; }
    bool packed_adler() const { return (bits & 0x0002) != 0; }
    bool extra_field() const { return (bits & 0x0040) != 0; }
    bool plain_crc() const { return (bits & 0x0100) != 0; }
    bool packed_crc() const { return (bits & 0x0200) != 0; }
    bool filter() const { return (bits & 0x0800) != 0; }
    bool header_crc() const { return (bits & 0x1000) != 0; }

    bool plain_is_checked() const { return plain_adler() || plain_crc(); }
};

struct LzopBlock {
    uint64_t offset = 0;  ///< of its sizes
    uint64_t data = 0;    ///< of its bytes
    uint32_t plain_size = 0;
    uint32_t packed_size = 0;
    std::optional<uint32_t> plain_adler;
    std::optional<uint32_t> plain_crc;
    std::optional<uint32_t> packed_adler;
    std::optional<uint32_t> packed_crc;

    bool is_checked() const { return plain_adler || plain_crc || packed_adler || packed_crc; }
    uint64_t end() const { return data + packed_size; }
};

/// Decodes `data`, the block's bytes, to plain_size bytes; false if it is damaged.
bool decode_lzop(const LzopBlock& block, ConstByteSpan data, ByteSpan out);

[[noreturn]] void fail_lzop_block(const Source& packed, const LzopBlock& block);

class LzopReader {
  public:
    enum class Event { file, block, file_end, end };

    /// `packed` must outlive it. At a file, or at a block of a file with these flags.
    LzopReader(const Source& packed, uint64_t offset, std::optional<LzopFlags> flags,
               size_t read_size);

    /// Goes on to what comes next; EUCLEAN, naming the place, for what can't.
    Event next();

    /// Of the last file begun.
    LzopFlags flags() const { return flags_; }
    /// That next() told of.
    const LzopBlock& block() const { return block_; }
    /// Its bytes, if next() wasn't called since.
    Bytes data();

  private:
    Event begin_file();
    void read_header();
    void read_extra_field();
    void read_block(uint32_t plain_size);

    const Source& packed_;
    PackedReader reader_;
    bool in_file_;
    bool had_file_;
    LzopFlags flags_;
    LzopBlock block_;
    uint64_t next_;  // offset of what comes next
};

/// What every lzop makes of all blocks of a file but the last.
constexpr uint32_t kUsualLzopBlock = 256 * kKiB;

}  // namespace imgfs
