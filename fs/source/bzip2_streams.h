// Where the streams of a bzip2 file begin and end, and what must stand between them.
#pragma once

#include "fs/source/bzip2_pieces.h"

namespace imgfs {

/// Is told of every piece that is no chance find, in order. Everything that can't stand where it
/// stands is EUCLEAN.
class Bzip2Streams {
  public:
    /// `crc`: of the blocks before the first piece that belong to its stream.
    Bzip2Streams(const Source& packed, uint32_t crc) : packed_(packed), crc_(crc) {}

    void add_block(const Bzip2Piece& piece);

    /// A piece that is no block. False: the stream that ends there has a checksum over its blocks'
    /// checksums that disagrees.
    bool add_other(const Bzip2Piece& piece);

    /// Of the stream's blocks so far.
    uint32_t crc() const { return crc_; }

    /// For a piece that starts as a block and doesn't decode. `joined`: so many pieces.
    [[noreturn]] void fail_block(const Bzip2Piece& piece, unsigned joined) const;

  private:
    void check_behind_end(const Bzip2Piece& piece, uint64_t bit);
    void check_header(const Bzip2Piece& piece, uint64_t bit) const;
    [[noreturn]] void fail_at(uint64_t bit, const std::string& what) const;

    const Source& packed_;
    uint32_t crc_;
    bool in_padding_ = false;
};

/// May a block that ends by chance where this piece ends go on behind it?
bool may_go_on(const Bzip2Piece& piece, unsigned joined);

}  // namespace imgfs
