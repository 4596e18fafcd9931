// One block of a bzip2 stream, decoded alone.
#pragma once

#include <memory>

#include "fs/source/bzip2_pieces.h"
#include "fs/source/unfilled_bytes.h"

namespace imgfs {

/// Decodes a piece that starts with a block's mark, by making it the only block of a stream.
class Bzip2Block {
  public:
    /// Most of libbz2's memory comes from `spares`, which must outlive it, and goes back there.
    Bzip2Block(const Bzip2Piece& piece, SpareBytes& spares);
    Bzip2Block(Bzip2Block&&) noexcept;
    ~Bzip2Block();

    /// The next plain bytes; fewer than asked for at the end, or where it is broken.
    size_t read(ByteSpan out);

    /// The piece isn't exactly one whole block, or its checksum disagrees. Known for certain only
    /// after the last read.
    bool broken() const { return broken_; }

  private:
    struct Stream;
    Bytes packed_;
    std::unique_ptr<Stream> stream_;
    bool ended_ = false;
    bool broken_ = false;
};

}  // namespace imgfs
