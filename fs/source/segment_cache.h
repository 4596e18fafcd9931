// SegmentCache: decoded pieces of a stream, bounded, shared by all readers.
#pragma once

#include <condition_variable>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "fs/base/bytes.h"

namespace imgfs {

/// Safe from any thread. A segment that several readers want at once is decoded once, the others
/// wait.
class SegmentCache {
  public:
    /// Shared, since a reader may still copy from a segment that the cache has let go.
    using Segment = std::shared_ptr<const Bytes>;

    explicit SegmentCache(uint64_t capacity) : capacity_(capacity) {}

    /// The segment of that number; made by `decode` (outside every lock) if it isn't there. What
    /// `decode` throws, its caller gets; those who waited then try themselves.
    Segment get(uint64_t number, const std::function<Bytes()>& decode);

    /// Is it there, or being made?
    bool has(uint64_t number) const;

  private:
    struct Entry {
        Segment segment;  // none while it is being made
        std::list<uint64_t>::iterator age;
    };

    void keep(uint64_t number, const Segment& segment);

    const uint64_t capacity_;  // bytes

    mutable std::mutex mutex_;
    std::condition_variable made_;
    std::map<uint64_t, Entry> entries_;
    std::list<uint64_t> by_age_;  // most recently used first; only of finished segments
    uint64_t size_ = 0;
};

}  // namespace imgfs
