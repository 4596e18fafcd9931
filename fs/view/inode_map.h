// InodeMap: the tree on disk that says where an inode's blocks lie.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "fs/view/block_run.h"
#include "fs/view/map_change.h"

namespace imgfs {

class InodeMap {
  public:
    InodeMap() = default;
    InodeMap(const InodeMap&) = delete;
    InodeMap& operator=(const InodeMap&) = delete;
    virtual ~InodeMap() = default;

    /// The blocks in the range that are not holes, in order and cut to it.
    virtual std::vector<BlockRun> runs(const BlockRange& range) const = 0;

    /// Leaves `replacement`, whose runs lie inside the range in order, where the range was.
    /// Collects in `change` what is to be written; the blocks that were mapped are not freed.
    virtual void replace(const BlockRange& range, std::span<const BlockRun> replacement,
                         MapChange& change) = 0;
};

}  // namespace imgfs
