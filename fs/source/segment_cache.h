// SegmentCache: decoded pieces of a stream, bounded, shared by all readers.
#pragma once

#include <condition_variable>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "fs/base/bytes.h"

namespace imgfs {

/// Safe from any thread. A segment that several readers want at once is decoded once, the others
/// wait.
class SegmentCache {
  public:
    /// Shared, since a reader may still copy from a segment that the cache has let go.
    using Segment = std::shared_ptr<const Bytes>;

    explicit SegmentCache(uint64_t capacity) : capacity_(capacity) {}

    /// Fills the bytes, whatever they held, with a segment.
    using Decode = std::function<void(Bytes&)>;

    /// The segment of that number; made by `decode` (outside every lock) if it isn't there. What
    /// `decode` throws, its caller gets; those who waited then try themselves. The cache must
    /// outlive what it returns.
    Segment get(uint64_t number, const Decode& decode);

  private:
    struct Entry {
        Segment segment;  // none while it is being made
        std::list<uint64_t>::iterator age;
    };

    std::unique_ptr<Bytes> take_spare();
    void give_spare(std::unique_ptr<Bytes> bytes);
    void keep(uint64_t number, const Segment& segment);

    const uint64_t capacity_;  // bytes

    // The memory of segments that are gone, for the next: fresh pages cost as much as decoding half
    // of what they hold.
    std::mutex spares_mutex_;
    std::vector<std::unique_ptr<Bytes>> spares_;

    std::mutex mutex_;
    std::condition_variable made_;
    std::map<uint64_t, Entry> entries_;
    std::list<uint64_t> by_age_;  // most recently used first; only of finished segments
    uint64_t size_ = 0;
};

}  // namespace imgfs
