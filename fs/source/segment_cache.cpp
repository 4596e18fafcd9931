#include "fs/source/segment_cache.h"

#include <algorithm>
#include <cerrno>

#include "fs/base/error.h"
#include "fs/source/codec.h"

namespace imgfs {
namespace {

constexpr size_t kMostSpares = 2;      // one for a reader, one for reading ahead
constexpr uint64_t kLargerSpare = 4;   // a spare may be larger by that part of what is needed
constexpr uint64_t kRoundedUp = kMiB;  // the memory of a segment serves most others, too
// Of the cache, for segments that were given out: programs that read forward ask for several pieces
// at once, and some come late. The less there is of it, the more of it is in the processor's
// caches.
constexpr uint64_t kGivenOutPart = 8;
constexpr uint64_t kLeftOut = 32;  // of a segment: checksums between blocks aren't given out

}  // namespace

ConstByteSpan CachedSegment::first(uint64_t length, uint64_t step, const Extend& extend,
                                   const std::function<void()>& stop) {
    if (length > size_) {
        fail(EINVAL, "more of a segment is wanted than it holds");
    }
    std::unique_lock lock(mutex_);
    grown_.wait(lock, [&] { return done_ >= length || !growing_; });
    if (done_ >= length) {
        return memory_.first(length);
    }
    growing_ = true;
    const auto over = [this](void*) {
        growing_ = false;
        grown_.notify_all();
    };
    const std::unique_ptr<CachedSegment, decltype(over)> grower(this, over);
    bool to_end = false;
    while (done_ < length || (to_end && done_ < size_)) {
        try {
            to_end = grow(lock, std::min(done_ + step, size_), extend);
        } catch (const std::exception&) {
            if (done_ < length) {
                throw;
            }
            to_end = false;  // whoever comes there meets it again
        }
    }
    if (stop) {
        lock.unlock();
        stop();
        lock.lock();
    }
    return memory_.first(length);
}

/// The lock is held again after it, whatever happens.
bool CachedSegment::grow(std::unique_lock<std::mutex>& lock, uint64_t end, const Extend& extend) {
    const auto from = done_;
    lock.unlock();
    bool to_end = false;
    try {
        to_end = extend(from, memory_.first(end).subspan(from));
    } catch (...) {
        lock.lock();
        throw;
    }
    lock.lock();
    done_ = end;
    grown_.notify_all();
    return to_end;
}

SegmentCache::Segment SegmentCache::get(uint64_t name, uint64_t size, Given given) {
    const std::lock_guard lock(mutex_);
    auto& wanted = entry(name, size);
    note_given(wanted, size, given);
    const auto pieces = wanted.given.size();
    const bool all = wanted.given_count >= pieces - pieces / kLeftOut;
    move_to_front(wanted, all ? given_out_ : used_);
    auto segment = wanted.segment;
    while (given_out_.names.size() > 1 && given_out_.size > limit() / kGivenOutPart) {
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
    const auto needed = size < kRoundedUp ? size : round_up(size, kRoundedUp);
    make_room(needed);
    auto segment =
        Segment(new CachedSegment(take_memory(needed), size), [this](CachedSegment* gone) {
            const std::unique_ptr<CachedSegment> owned(gone);
            give_memory(owned->take_memory());
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

void SegmentCache::make_room(uint64_t size) {
    while (!entries_.empty() && !has_room(size)) {
        drop_last(given_out_.names.empty() ? used_ : given_out_);
    }
}

void SegmentCache::lend(Borrower borrower, uint64_t bytes) {
    const std::lock_guard lock(mutex_);
    {
        const std::lock_guard memory_lock(memory_mutex_);
        auto& lent = lent_.at(static_cast<size_t>(borrower));
        if (bytes <= lent && bytes > lent / 2) {
            return;
        }
        lent = bytes;
        limit_ = capacity_ - std::min(lent_[0] + lent_[1], capacity_ - least_);
    }
    make_room(0);
    const std::lock_guard memory_lock(memory_mutex_);
    drop_spares();
}

uint64_t SegmentCache::held() const {
    const std::lock_guard lock(memory_mutex_);
    return taken_ + spare_;
}

bool SegmentCache::has_room(uint64_t size) const {
    const std::lock_guard lock(memory_mutex_);
    return taken_ + size <= limit_;
}

uint64_t SegmentCache::limit() const {
    const std::lock_guard lock(memory_mutex_);
    return limit_;
}

UnfilledBytes SegmentCache::take_memory(uint64_t size) {
    const std::lock_guard lock(memory_mutex_);
    const auto fits = std::ranges::find_if(spares_, [&](const UnfilledBytes& spare) {
        return spare.size() >= size && spare.size() - size <= size / kLargerSpare &&
               (spare.size() == size || taken_ + spare.size() <= limit_);
    });
    UnfilledBytes memory;
    if (fits != spares_.end()) {
        memory = std::move(*fits);
        spares_.erase(fits);
        spare_ -= memory.size();
    } else {
        memory = UnfilledBytes(size);
    }
    taken_ += memory.size();
    drop_spares();
    return memory;
}

void SegmentCache::give_memory(UnfilledBytes memory) {
    const std::lock_guard lock(memory_mutex_);
    taken_ -= memory.size();
    spare_ += memory.size();
    spares_.push_back(std::move(memory));
    drop_spares();
}

/// Needs memory_mutex_.
void SegmentCache::drop_spares() {
    while (!spares_.empty() && (spares_.size() > kMostSpares || taken_ + spare_ > limit_)) {
        spare_ -= spares_.front().size();
        spares_.pop_front();
    }
}

}  // namespace imgfs
