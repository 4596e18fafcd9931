// Overlay: changed blocks in memory, until a commit has made them durable.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "fs/store/block.h"
#include "fs/store/run_map.h"

namespace imgfs {

/// A block as it is held in memory; none stands for zeros.
using BlockData = std::unique_ptr<Block>;

/// `bytes` (a block or less; the rest is zero) as it is held.
BlockData block_of(ConstByteSpan bytes);

/// Not safe by itself: whoever owns it guards it.
class Overlay {
  public:
    enum class Kind { absent, zeros, data };

    void put(uint64_t block, BlockData data);
    void put_zeros(uint64_t first, uint64_t count);

    /// The block for changes in place; made of zeros if it was zero. It must not be absent.
    Block& open(uint64_t block);

    Kind kind(uint64_t block) const;

    /// A copy of a block that is not absent.
    BlockData copy(uint64_t block) const;

    /// Called with the first block, their count, what they are, and the data of the one block.
    using Visit = std::function<void(uint64_t, uint64_t, Kind, const Block*)>;

    /// Visits all of [first, end) in order and without gaps; data one block at a time.
    void visit(uint64_t first, uint64_t end, const Visit& visit) const;

    bool empty() const { return blocks_.empty() && zeros_.size() == 0; }
    uint64_t data_blocks() const { return blocks_.size(); }
    uint64_t zero_runs() const { return zeros_.size(); }
    void clear();

  private:
    struct Zeros {
        Zeros tail(uint64_t) const { return {}; }
    };

    void visit_blocks(uint64_t first, uint64_t end, const Visit& visit) const;

    std::map<uint64_t, BlockData> blocks_;  // none of them in zeros_
    RunMap<Zeros> zeros_;
};

}  // namespace imgfs
