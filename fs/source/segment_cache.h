// SegmentCache: decoded stretches of a stream, bounded, shared by all readers; they grow as they
// are read.
#pragma once

#include <algorithm>
#include <array>
#include <condition_variable>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "fs/source/unfilled_bytes.h"

namespace imgfs {

class SegmentCache;

/// The bytes from a segment's start as far as they have been decoded. Safe from any thread.
class CachedSegment {
  public:
    /// In memory of `size` bytes or more.
    CachedSegment(UnfilledBytes memory, uint64_t size) : memory_(std::move(memory)), size_(size) {}

    /// Decodes plain bytes [from, out.size() + from) of the segment. True if it had better go on to
    /// the segment's end, although nobody wants that yet.
    using Extend = std::function<bool(uint64_t from, ByteSpan out)>;

    /// The first `length` bytes (EINVAL if the segment isn't as long). Those that are not there yet
    /// are made by `extend`, outside every lock, by one caller at a time up to what he wants, in
    /// steps of `step` bytes (a multiple of kHashedPiece), so that others needn't wait for all of
    /// them. What `extend` throws, its caller gets, unless that is behind what he wants; those who
    /// waited then try themselves. Nobody waits here once his `extend` has run. When that is all he
    /// wants, `stop` is called, before anybody else's `extend`.
    ConstByteSpan first(uint64_t length, uint64_t step, const Extend& extend,
                        const std::function<void()>& stop = {});

    UnfilledBytes take_memory() { return std::move(memory_); }
    uint64_t memory_size() const { return memory_.size(); }

  private:
    bool grow(std::unique_lock<std::mutex>& lock, uint64_t end, const Extend& extend);

    UnfilledBytes memory_;  // bytes up to done_ don't change any more
    const uint64_t size_;

    std::mutex mutex_;
    std::condition_variable grown_;
    bool growing_ = false;
    uint64_t done_ = 0;
};

/// Safe from any thread. Segments that were used longest ago go first; before them, those of which
/// nearly all was given out once: programs that read from front to back don't come back for it, and
/// push nobody else's segments out.
///
/// Its capacity bounds all segments, those that only a reader holds still, too, and the memory that
/// is kept for the next ones; but each caller can always have one segment made.
class SegmentCache {
  public:
    /// Shared, since a reader may still copy from a segment that the cache has let go.
    using Segment = std::shared_ptr<CachedSegment>;

    /// `least` bytes are never lent.
    explicit SegmentCache(uint64_t capacity, uint64_t least = 0)
        : capacity_(capacity), least_(std::min(least, capacity)), limit_(capacity) {}

    /// Who takes memory at the cache's expense.
    enum class Borrower : uint8_t { decoders, pass };
    /// So much of the capacity is that borrower's from now on. It stays so until less than half of
    /// it is needed: what comes and goes would take the memory of segments, and give it back, each
    /// time.
    void lend(Borrower borrower, uint64_t bytes);

    /// Bytes of memory: of segments, and kept for the next.
    uint64_t held() const;

    /// Bytes of a segment that somebody gives out.
    struct Given {
        uint64_t begin = 0;
        uint64_t end = 0;
    };

    /// The segment of that name, of `size` bytes; an empty one if it isn't there. The cache must
    /// outlive what it returns.
    Segment get(uint64_t name, uint64_t size, Given given);

  private:
    struct Queue {
        std::list<uint64_t> names;  // the latest first
        uint64_t size = 0;          // bytes
    };
    struct Entry {
        Segment segment;
        std::vector<bool> given;  // the pieces whose last byte was given out
        size_t given_count = 0;
        Queue* queue = nullptr;
        std::list<uint64_t>::iterator place;
    };

    Entry& entry(uint64_t name, uint64_t size);
    void make_room(uint64_t size);
    bool has_room(uint64_t size) const;
    uint64_t limit() const;
    void move_to_front(Entry& entry, Queue& queue);
    void drop_last(Queue& queue);
    void note_given(Entry& entry, uint64_t size, Given given);

    UnfilledBytes take_memory(uint64_t size);
    void give_memory(UnfilledBytes memory);
    void drop_spares();

    const uint64_t capacity_;  // bytes
    const uint64_t least_;

    mutable std::mutex memory_mutex_;  // may be taken while mutex_ is held
    uint64_t limit_;                   // the capacity without what is lent
    std::array<uint64_t, 2> lent_{};   // by borrower
    uint64_t taken_ = 0;               // the memory of segments
    // The memory of segments that are gone, for the next: fresh pages cost as much as decoding half
    // of what they hold.
    std::deque<UnfilledBytes> spares_;
    uint64_t spare_ = 0;  // bytes of them

    std::mutex mutex_;
    std::map<uint64_t, Entry> entries_;
    Queue used_;
    Queue given_out_;  // the whole of them
};

}  // namespace imgfs
