// SequentialReader: a Source from one end to the other, going on behind what is damaged.
#pragma once

#include <string>

#include "fs/source/source.h"

namespace imgfs {

/// Not for several threads.
class SequentialReader {
  public:
    /// From `offset` to `end`, which lies inside `source`; `source` must outlive it.
    SequentialReader(const Source& source, uint64_t offset, uint64_t end);

    struct Piece {
        ConstByteSpan bytes;  ///< until the next call; empty if they can't be read
        uint64_t length = 0;
    };
    /// What comes next, at most `most` bytes; a length of 0 at the end. Damage (EUCLEAN) below
    /// makes a piece without bytes; any other failure is thrown.
    Piece next(uint64_t most);

    uint64_t offset() const { return offset_; }
    /// Why the last piece without bytes has none.
    const std::string& damage() const { return damage_; }
    /// So much of what was tried last could not be read that going on is of no use.
    bool hopeless() const;

  private:
    void fill();

    const Source& source_;
    uint64_t offset_;
    uint64_t end_;
    Bytes buffer_;
    uint64_t ask_;  // how much the next read asks for; less near damage
    uint64_t buffer_start_ = 0;
    uint64_t buffer_end_ = 0;  // of what is in the buffer, or can't be read
    bool readable_ = true;
    uint64_t unreadable_run_ = 0;
    std::string damage_;
};

}  // namespace imgfs
