// Cuts a bzip2 stream at its 48-bit marks, which stand at any bit.
//
//   file    = stream { stream } { zero byte }
//   stream  = "BZh" level { block } end
//   block   = 31 41 59 26 53 59, crc (32 bits), what libbz2 understands
//   end     = 17 72 45 38 50 90, combined crc (32 bits), zero bits up to a whole byte
//
// Nothing says how long a block is: it ends where the next mark stands. 48 bits may look like a
// mark by chance, once in some ten terabytes. So a piece is only what MAY be one part of a stream:
// where it isn't, it belongs together with the next.
#pragma once

#include <optional>

#include "fs/source/packed_reader.h"

namespace imgfs {

struct Bzip2Piece {
    enum class Kind { header, block, end, other };  ///< by what it starts with
    enum class Cut { at_mark, at_end_of_source, too_long };

    Kind kind = Kind::other;
    uint64_t start_bit = 0;
    uint64_t end_bit = 0;
    Cut cut = Cut::at_mark;
    Bytes bytes;  ///< the whole bytes in which it lies

    uint64_t bits() const { return end_bit - start_bit; }
    /// `count` <= 32 bits from `bit` of the piece on, which the caller knows to be inside.
    uint32_t number(uint64_t bit, unsigned count) const;
    /// Makes it end where `next` ends, which follows it.
    void append(const Bzip2Piece& next);
};

constexpr uint64_t kBzip2Block = 0x314159265359;
constexpr uint64_t kBzip2End = 0x177245385090;
constexpr unsigned kBzip2MarkBits = 48;
constexpr unsigned kBzip2CrcBits = 32;
constexpr unsigned kBzip2HeaderBits = 32;
constexpr unsigned kBzip2Smallest = kBzip2MarkBits + kBzip2CrcBits;  ///< of a block or end

/// Longer than any block: 900,000 symbols of at most 20 bits, and tables.
constexpr size_t kLargestBzip2Piece = 3 * kMiB;

class Bzip2Pieces {
  public:
    /// `packed` must outlive it; the first piece starts at `start_bit`, which lies inside.
    Bzip2Pieces(const Source& packed, uint64_t start_bit, size_t read_size);

    /// Nothing behind the end of the source.
    std::optional<Bzip2Piece> next();

  private:
    size_t bytes_up_to_mark(ConstByteSpan bytes);
    Bzip2Piece cut(Bzip2Piece::Cut cut, uint64_t end_bit);

    PackedReader reader_;
    Bzip2Piece piece_;     // as far as it was read
    uint64_t window_ = 0;  // the last 64 bits
    bool ended_ = false;
};

}  // namespace imgfs
