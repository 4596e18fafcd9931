// Decodes blocks of lz4 frames.
#pragma once

#include "fs/base/xxh32.h"
#include "fs/source/codec.h"
#include "fs/source/lz4_frame.h"

namespace imgfs {

constexpr size_t kLz4History = 64 * kKiB;

/// The first plain bytes of the block, at most out.size(): their number, or nothing if the block is
/// damaged. `history`: what stands before it in its frame, in sight of linked blocks.
std::optional<size_t> decode_lz4(const Lz4Block& block, ConstByteSpan history, ByteSpan out);

[[noreturn]] void fail_lz4_block(const Source& packed, uint64_t offset);

/// Plain bytes of linked blocks one after another, the last 64 KiB always in sight.
class Lz4Window {
  public:
    /// `history` stands before the first block.
    Lz4Window(const Lz4Frame& frame, ConstByteSpan history);

    /// Decodes the block behind what is there; its plain bytes stay until the next call. Nothing if
    /// it is damaged.
    std::optional<ConstByteSpan> decode(const Lz4Block& block);

    ConstByteSpan history() const;

  private:
    size_t block_size_;
    Bytes buffer_;
    size_t filled_;
};

/// What a seek point inside a frame stands for; where it is at the start of one it has no state.
struct Lz4Place {
    Lz4Frame frame;
    uint64_t frame_plain = 0;  ///< plain bytes of the frame before it
    bool incomplete = false;   ///< some of them were lost
    bool irregular = false;    ///< a block that isn't the frame's last isn't full
    Xxh32 checksum;            ///< of those bytes
    Bytes history;

    Bytes state() const;
};

/// Nothing for a point without state. EUCLEAN for a state that can't be.
std::optional<Lz4Place> lz4_place(const SeekPoint& point);

}  // namespace imgfs
