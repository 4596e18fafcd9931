// A running XXH32 that can be written down and gone on with later, which libxxhash's can't.
#pragma once

#include <array>

#include "fs/base/bytes.h"

namespace imgfs {

/// XXH32 with seed 0, of lz4's checksums.
class Xxh32 {
  public:
    static constexpr size_t kStateSize = 40;

    Xxh32();
    /// Goes on from a state(), of which any kStateSize bytes are one.
    explicit Xxh32(ConstByteSpan state);

    void update(ConstByteSpan bytes);
    uint32_t digest() const;
    Bytes state() const;

  private:
    void add_stripe(ConstByteSpan stripe);

    std::array<uint32_t, 4> lanes_;
    uint64_t count_ = 0;
    std::array<std::byte, 16> tail_{};  // the last count_ % 16 bytes, and anything behind them
};

uint32_t xxh32(ConstByteSpan bytes);

}  // namespace imgfs
