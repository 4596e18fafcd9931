// StreamPacker: packs a stream on all cores.
#pragma once

#include <functional>
#include <vector>

#include "fs/source/ordered_jobs.h"
#include "fs/source/packing.h"

namespace imgfs {

/// For the use of one thread.
class StreamPacker {
  public:
    /// Takes the packed stream in order, inside add() and finish(). What it throws is thrown there.
    using Write = std::function<void(ConstByteSpan packed)>;

    StreamPacker(const Packing& packing, int level, Write write);

    void add(ConstByteSpan plain);

    /// Everything has been written when it returns.
    void finish();

  private:
    void pack_piece();

    const Packing& packing_;
    const int level_;
    const Write write_;
    Bytes piece_;  // that isn't full yet
    std::vector<PackedPiece> pieces_;
    OrderedJobs jobs_;
};

}  // namespace imgfs
