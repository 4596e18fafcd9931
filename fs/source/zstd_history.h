// The plain bytes behind a place in a zstd frame: all of the window, or what is referred to.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "fs/base/bytes.h"

namespace imgfs {

/// The last `window` plain bytes of a frame; offsets count from the frame's start. Memory grows
/// with what is kept, not with what the window claims.
class PlainHistory {
  public:
    explicit PlainHistory(uint64_t window, uint64_t start = 0);

    void keep(ConstByteSpan plain);
    uint64_t end() const { return end_; }

    /// Bytes among the last `window` before end().
    void copy(uint64_t from, ByteSpan out) const;

  private:
    static constexpr size_t kChunk = 64 * kKiB;
    using Chunk = std::array<std::byte, kChunk>;

    std::vector<std::unique_ptr<Chunk>> chunks_;  // a ring
    uint64_t end_;
};

/// Of the window before a point, the bytes that blocks behind it refer to. Offsets count from the
/// frame's start.
class SparseHistory {
  public:
    struct Run {
        uint64_t from = 0;
        ConstByteSpan bytes;  // as long as the SparseHistory isn't changed
    };

    /// The point stands at `end`.
    SparseHistory(uint64_t end, uint64_t window);

    /// Takes what of [from, from + size) lies before the point. It lies in the point's window, and
    /// `history` has it.
    void mark(uint64_t from, uint64_t size, const PlainHistory& history);

    uint64_t end() const { return end_; }
    uint64_t marked() const { return marked_; }
    /// From the first byte that is marked to the point.
    uint64_t reach() const { return end_ - lowest_; }

    /// Ascending; runs that touch at the border of two pages aren't joined.
    std::vector<Run> runs() const;

  private:
    static constexpr size_t kPage = 4096;
    struct Page {
        std::array<std::byte, kPage> bytes{};
        std::array<uint64_t, kPage / 64> marks{};
    };

    void mark_in(Page& page, uint64_t from, size_t size, const PlainHistory& history);

    uint64_t end_;
    uint64_t first_page_;
    std::vector<std::unique_ptr<Page>> pages_;
    uint64_t marked_ = 0;
    uint64_t lowest_;
};

}  // namespace imgfs
