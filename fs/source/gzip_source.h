// GzipSource: the plain bytes of a gzip stream, at random.
#pragma once

#include <array>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

#include "fs/source/gzip_index.h"
#include "fs/source/segment_cache.h"

namespace imgfs {

/// Decodes in segments of one seek spacing, checks each 64 KiB piece's hash, keeps segments in a
/// cache. A reader that goes forward has the next segment decoded on another thread.
class GzipSource final : public Source {
  public:
    GzipSource(std::unique_ptr<Source> packed, GzipIndex index, uint64_t cache_size);
    ~GzipSource() override;

    uint64_t size() const override { return index_.plain_size; }
    std::string place(uint64_t offset) const override;

  private:
    /// Cut at multiples of kHashedPiece, so that every byte that is decoded can be checked.
    struct Segment {
        uint64_t number;  // of its seek point, and of the part of it where that is very long
        size_t point;
        uint64_t begin;
        uint64_t end;
    };

    void read_inside(uint64_t offset, ByteSpan out) const override;
    Segment segment_at(uint64_t offset) const;
    SegmentCache::Segment decoded(const Segment& segment) const;
    void decode(const Segment& segment, Bytes& plain) const;
    void note_read(const Segment& segment) const;
    void read_ahead_loop();

    std::unique_ptr<Source> packed_;
    GzipIndex index_;
    mutable SegmentCache cache_;

    mutable std::mutex mutex_;
    mutable std::condition_variable wake_;
    // Where readers that go forward will be next, the latest first: between two pieces of a file
    // its directory and its inode are read, too.
    mutable std::array<uint64_t, 8> expected_{};
    mutable uint64_t wanted_ = 0;  // offset to decode ahead; 0: none
    bool ending_ = false;
    std::thread reader_ahead_;
};

}  // namespace imgfs
