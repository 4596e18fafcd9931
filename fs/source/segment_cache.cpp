#include "fs/source/segment_cache.h"

#include <algorithm>

#include "fs/source/codec.h"

namespace imgfs {
namespace {

constexpr size_t kMostSpares = 2;      // one for a reader, one for reading ahead
constexpr uint64_t kRoundedUp = kMiB;  // the memory of a segment serves most others, too
// Of the cache, for segments that were given out: programs that read forward ask for several pieces
// at once, and some come late. The less there is of it, the more of it is in the processor's
// caches.
constexpr uint64_t kGivenOutPart = 8;
constexpr uint64_t kLeftOut = 32;  // of a segment: checksums between blocks aren't given out

}  // namespace

ConstByteSpan CachedSegment::first(uint64_t length, uint64_t step, const Extend& extend) {
    std::unique_lock lock(mutex_);
    while (done_ < length) {
        if (growing_) {
            grown_.wait(lock);
            continue;
        }
        growing_ = true;
        const auto from = done_;
        const auto end = std::min(from + step, size_);
        lock.unlock();
        try {
            extend(from, memory_.first(end).subspan(from));
        } catch (...) {
            lock.lock();
            growing_ = false;
            grown_.notify_all();
            throw;
        }
        lock.lock();
        growing_ = false;
        done_ = end;
        grown_.notify_all();
    }
    return memory_.first(length);
}

SegmentCache::Segment SegmentCache::get(uint64_t name, uint64_t size, Given given) {
    const std::lock_guard lock(mutex_);
    auto& wanted = entry(name, size);
    note_given(wanted, size, given);
    const auto pieces = wanted.given.size();
    const bool all = wanted.given_count >= pieces - pieces / kLeftOut;
    move_to_front(wanted, all ? given_out_ : used_);
    auto segment = wanted.segment;
    while (given_out_.names.size() > 1 && given_out_.size > capacity_ / kGivenOutPart) {
        drop_last(given_out_);
    }
    return segment;
}

/// The same pieces twice count once; once all were given out, that is somebody who comes back.
void SegmentCache::note_given(Entry& entry, uint64_t size, Given given) {
    bool again = false;
    for (auto piece = given.begin / kHashedPiece; piece < entry.given.size(); ++piece) {
        if (given.end < std::min((piece + 1) * kHashedPiece, size)) {
            break;
        }
        again = again || entry.given[piece];
        entry.given_count += entry.given[piece] ? 0 : 1;
        entry.given[piece] = true;
    }
    if (again && entry.queue == &given_out_) {
        entry.given.assign(entry.given.size(), false);
        entry.given_count = 0;
    }
}

SegmentCache::Entry& SegmentCache::entry(uint64_t name, uint64_t size) {
    if (const auto found = entries_.find(name); found != entries_.end()) {
        return found->second;
    }
    while (!entries_.empty() && used_.size + given_out_.size + size > capacity_) {
        drop_last(given_out_.names.empty() ? used_ : given_out_);
    }
    auto segment = Segment(new CachedSegment(take_spare(size), size), [this](CachedSegment* gone) {
        const std::unique_ptr<CachedSegment> owned(gone);
        give_spare(owned->take_memory());
    });
    used_.names.push_front(name);
    used_.size += segment->memory_size();
    return entries_[name] = {.segment = std::move(segment),
                             .given = std::vector<bool>((size + kHashedPiece - 1) / kHashedPiece),
                             .queue = &used_,
                             .place = used_.names.begin()};
}

void SegmentCache::move_to_front(Entry& entry, Queue& queue) {
    queue.names.splice(queue.names.begin(), entry.queue->names, entry.place);
    entry.queue->size -= entry.segment->memory_size();
    queue.size += entry.segment->memory_size();
    entry.queue = &queue;
}

void SegmentCache::drop_last(Queue& queue) {
    const auto last = entries_.find(queue.names.back());
    queue.names.pop_back();
    queue.size -= last->second.segment->memory_size();
    entries_.erase(last);
}

UnfilledBytes SegmentCache::take_spare(uint64_t size) {
    const std::lock_guard lock(spares_mutex_);
    const auto fits = std::ranges::find_if(
        spares_, [&](const UnfilledBytes& spare) { return spare.size() >= size; });
    if (fits == spares_.end()) {
        return UnfilledBytes(size < kRoundedUp ? size : round_up(size, kRoundedUp));
    }
    auto memory = std::move(*fits);
    spares_.erase(fits);
    return memory;
}

void SegmentCache::give_spare(UnfilledBytes memory) {
    const std::lock_guard lock(spares_mutex_);
    if (spares_.size() == kMostSpares) {
        spares_.erase(spares_.begin());
    }
    spares_.push_back(std::move(memory));
}

}  // namespace imgfs
