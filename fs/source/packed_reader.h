// PackedReader: reads a source from front to back in large pieces, for a decoder.
#pragma once

#include "fs/source/source.h"

namespace imgfs {

class PackedReader {
  public:
    /// `packed` must outlive it. `piece_size` bytes are read at a time.
    PackedReader(const Source& packed, uint64_t offset, size_t piece_size);

    /// What was read and not yet taken; refilled when empty. Empty only at the end of the source.
    ConstByteSpan available();
    void take(size_t count) { start_ += count; }

    /// Goes on from there, forward or back.
    void go_to(uint64_t offset);

    /// Of the next byte that take() has not taken.
    uint64_t offset() const { return offset_ + start_; }

    /// The next byte, taken; fails with EUCLEAN at the end.
    uint8_t byte();

    /// EUCLEAN at the end of the source, saying what that probably means.
    [[noreturn]] void fail_at_end() const;

    /// EUCLEAN at the present place: "PLACE: WHAT; the stream is damaged there".
    [[noreturn]] void fail_damaged(const std::string& what) const;

  private:
    const Source& packed_;
    size_t piece_size_;
    uint64_t offset_;  // of piece_[0]
    Bytes piece_;
    size_t start_ = 0;
};

}  // namespace imgfs
