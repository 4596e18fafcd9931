// Reads the frames of an lz4 file: where they and their blocks begin and end.
//
//   file      = { frame | legacy | skippable } { zero byte }
//   frame     = 04 22 4d 18, flags, size code, [ content size (8) ], [ dictionary (4) ], header
//               checksum (1), { block }, 0 (4), [ checksum of the plain bytes (4) ]
//   block     = packed size (4), highest bit: not packed; bytes; [ their checksum (4) ]
//   legacy    = 02 21 4c 18, { packed size (4), bytes }; each but the last of 8 MiB
//   skippable = 5x 2a 4d 18, size (4), bytes
//
// Numbers are little-endian, checksums XXH32.
#pragma once

#include <optional>

#include "fs/source/packed_reader.h"

namespace imgfs {

/// What a frame's header says.
struct Lz4Frame {
    static constexpr uint64_t kUnknown = UINT64_MAX;

    bool legacy = false;
    uint8_t flags = 0;
    uint8_t size_code = 0;
    uint64_t content_size = kUnknown;

    bool linked() const { return !legacy && (flags & 0x20) == 0; }
    bool has_block_checksums() const { return (flags & 0x10) != 0; }
    bool has_content_size() const { return (flags & 0x08) != 0; }
    bool has_checksum() const { return (flags & 0x04) != 0; }
    bool has_dictionary() const { return (flags & 0x01) != 0; }
    /// Could a header say so?
    bool is_valid() const;
    /// The most plain bytes that a block has; that of a valid frame.
    size_t block_size() const;
    size_t largest_packed_block() const;
};

struct Lz4Block {
    uint64_t offset = 0;  ///< of its size
    bool stored = false;
    Bytes packed;
    std::optional<uint32_t> checksum;  ///< of the packed bytes
};

class Lz4Reader {
  public:
    enum class Event { frame, block, frame_end, end };

    /// `packed` must outlive it. At a frame, or at a block of `frame`.
    Lz4Reader(const Source& packed, uint64_t offset, std::optional<Lz4Frame> frame,
              size_t read_size);

    /// Goes on to what comes next; EUCLEAN, naming the place, for what can't.
    Event next();

    /// The last one begun.
    const Lz4Frame& frame() const { return frame_; }
    /// The block that next() told of.
    Lz4Block take_block() { return std::move(block_); }
    /// Its memory serves a later one.
    void give_back(Lz4Block block);
    /// Of the frame whose end next() told of, if it has one.
    std::optional<uint32_t> checksum() const { return checksum_; }

    uint64_t offset() const { return reader_.offset(); }

  private:
    Event begin_frame();
    Event end_frame();
    void read_header();
    void check_few_last_bytes();
    void read_block(uint32_t size);

    const Source& packed_;
    PackedReader reader_;
    bool in_frame_;
    bool had_frame_;
    Lz4Frame frame_;
    Lz4Block block_;
    std::vector<Bytes> spares_;
    uint64_t spare_ = 0;  // bytes of them
    std::optional<uint32_t> checksum_;
};

}  // namespace imgfs
