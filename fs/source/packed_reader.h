// PackedReader: reads a source from front to back in large pieces, for a decoder.
#pragma once

#include <algorithm>

#include "fs/source/source.h"

namespace imgfs {

/// EUCLEAN: "PLACE: WHAT; the stream is damaged there".
[[noreturn]] void fail_damaged(const Source& packed, uint64_t offset, const std::string& what);

/// EUCLEAN at the end of `packed`, saying what that probably means.
[[noreturn]] void fail_cut_short(const Source& packed);

/// Fills `out` from its start with what can be read, at least a byte, up to damage (EUCLEAN) of the
/// packed bytes; that is thrown if it stands at `offset`. Returns how many bytes those are.
size_t read_up_to_damage(const Source& packed, uint64_t offset, ByteSpan out);

class PackedReader {
  public:
    /// `packed` must outlive it. `piece_size` bytes are read at a time.
    PackedReader(const Source& packed, uint64_t offset, size_t piece_size);

    /// What was read and not yet taken; refilled when empty. Empty only at the end of the source.
    ConstByteSpan available();
    void take(size_t count) { start_ += count; }

    /// Would available() have to read?
    bool is_empty() const { return start_ == piece_.size(); }

    /// Goes on from there, forward or back.
    void go_to(uint64_t offset);

    /// Of the next byte that take() has not taken.
    uint64_t offset() const { return offset_ + start_; }

    /// The next byte, taken; fails with EUCLEAN at the end.
    uint8_t byte();

    /// The next bytes, taken; fails with EUCLEAN at the end.
    void read(ByteSpan out);
    /// As many as the stream says, which may lie: nothing is allocated for what isn't there.
    /// `memory` is used again for them.
    Bytes bytes(uint64_t count, Bytes memory = {});
    uint16_t be16();
    uint32_t be32();
    uint32_t le32();

    /// Bytes that are left, taken ones not counted.
    uint64_t left() const { return packed_.size() - std::min(packed_.size(), offset()); }

    /// Takes zero bytes. Is anything behind them?
    bool more_behind_zeros();

    /// fail_cut_short() and fail_damaged() for the present place.
    [[noreturn]] void fail_at_end() const;
    [[noreturn]] void fail_damaged(const std::string& what) const;

  private:
    void fill();

    const Source& packed_;
    size_t piece_size_;
    uint64_t offset_;  // of piece_[0]
    Bytes piece_;
    size_t start_ = 0;
};

}  // namespace imgfs
