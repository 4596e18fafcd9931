// GzipStretch: what lies between two sync markers of a deflate stream, decoded without what stands
// before it.
//
// It is decoded twice, behind two histories that differ in every byte. A plain byte that is the
// same in both refers to neither; from where the last 32 KiB are the same, nothing does any more.
// That such a history fades is known from pugz and rapidgzip.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "fs/source/source.h"
#include "fs/source/unfilled_bytes.h"

namespace imgfs {

struct GzipStretch {
    /// The start of a deflate block behind a marker.
    struct Block {
        uint64_t packed = 0;
        uint64_t plain = 0;  ///< counted from the stretch's start
    };
    uint64_t begin = 0;   ///< in the packed stream, behind a marker
    uint64_t end = 0;     ///< behind another
    uint64_t known = 0;   ///< where the plain bytes begin to be known, from the stretch's start
    uint64_t size = 0;    ///< plain bytes
    UnfilledBytes plain;  ///< and what else it was made in
    std::vector<Block> blocks;  ///< about as far apart as the points, the last at the end
};

/// Safe from any thread. Needs ISA-L.
class GzipStretches {
  public:
    /// `packed` must outlive it. Between two blocks of a stretch lie `spacing` plain bytes at
    /// least.
    GzipStretches(const Source& packed, uint64_t spacing) : packed_(packed), spacing_(spacing) {}

    static constexpr uint64_t kPacked = 2 * kMiB;
    static constexpr uint64_t kPlainMost = 9 * kMiB;
    static constexpr uint64_t kMemory =
        kPacked + kPlainMost + kMiB;  ///< while one is made, and of it

    /// Begins behind the first marker from there on, and ends behind the first from `kPacked` bytes
    /// later on, or the last one before. None if it has no markers, is larger than it may be, or
    /// isn't decoded to its end: the markers may be none, and bytes may refer to others throughout.
    std::optional<GzipStretch> decode(uint64_t from);

    /// Its memory serves the next.
    void give_back(GzipStretch stretch) { spares_.give_back(std::move(stretch.plain)); }

  private:
    bool is_readable(uint64_t from, ByteSpan packed) const;

    const Source& packed_;
    const uint64_t spacing_;
    SpareBytes spares_;
};

}  // namespace imgfs
