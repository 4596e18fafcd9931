// The repeat offsets at any block boundary of a zstd frame, without decoding every block's
// sequences.
#pragma once

#include <deque>

#include "fs/source/zstd_block.h"

namespace imgfs {

/// Keeps the last blocks whose sequences nobody decoded, and decodes as few of them as it takes,
/// back from the present place.
class RepeatTracker {
  public:
    /// `known`: here.
    explicit RepeatTracker(const RepeatOffsets& known) : before_(known) {}

    /// Passes over a block whose sequences aren't decoded.
    void skip(const ZstdSections& sections, const ZstdTables& tables, size_t plain_size);

    /// Passes over sequences that were decoded. Only after settle() was true, with no skip() since.
    RepeatOffset follow(const ZstdSequence& sequence) { return next_offset(sequence, *before_); }

    /// Finds out what they are here; false if too many blocks would have to be decoded.
    bool settle();

    /// After settle() was true.
    const RepeatOffsets& now() const { return *before_; }

  private:
    struct Block {
        bool decoded = false;
        RepeatOffsets change{};  // if decoded: what they are behind it, counted from before it
        Bytes stream = {};       // if not
        ZstdSections sections = {};
        ZstdTables tables = {};
        size_t plain_size = 0;
    };

    bool decode(Block& block);
    void add(Block block);
    void forget();

    std::optional<RepeatOffsets> before_;  // before the first of blocks_; none: not known
    std::deque<Block> blocks_;             // since then
    std::vector<ZstdSequence> sequences_;  // of the block being decoded
};

}  // namespace imgfs
