// BlockBitmap: which blocks of a partition the image holds, and the how-manieth each of them is.
#pragma once

#include <vector>

#include "fs/base/bytes.h"

namespace imgfs {

/// One bit a block, lowest bit first, and a count every 2,048 blocks (3 % more memory than the
/// bits).
class BlockBitmap {
  public:
    /// Takes the bits as they stand on disk, block_count / 8 bytes rounded up to whole words; bits
    /// past the last block are cleared.
    BlockBitmap(std::vector<uint64_t> words, uint64_t block_count);

    /// All blocks are used. It takes no memory and has no bytes().
    static BlockBitmap full(uint64_t block_count);

    uint64_t block_count() const { return block_count_; }
    uint64_t used_count() const { return ranks_.back(); }
    bool is_used(uint64_t block) const {
        return is_full() || (words_[block / 64] >> (block % 64) & 1) != 0;
    }

    /// Used blocks before `block`, which may be block_count().
    uint64_t rank(uint64_t block) const;

    /// The used block that has `rank` used blocks before it; rank < used_count().
    uint64_t select(uint64_t rank) const;

    /// The first block after `block` that is not as `block` is, or `end`.
    uint64_t run_end(uint64_t block, uint64_t end) const;

    /// block_count() / 8 bytes, rounded up.
    ConstByteSpan bytes() const;

  private:
    explicit BlockBitmap(uint64_t block_count) : block_count_(block_count), ranks_{block_count} {}
    bool is_full() const { return words_.empty(); }

    std::vector<uint64_t> words_;  // none if all blocks are used
    uint64_t block_count_;
    std::vector<uint64_t> ranks_;  // used blocks before each group of words, then all of them
};

}  // namespace imgfs
