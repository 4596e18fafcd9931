#include "fs/source/segment_cache.h"

#include <algorithm>

namespace imgfs {
namespace {

constexpr size_t kMostSpares = 2;  // one for a reader, one for reading ahead

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

SegmentCache::Segment SegmentCache::get(uint64_t name, uint64_t size) {
    const std::lock_guard lock(mutex_);
    if (const auto found = entries_.find(name); found != entries_.end()) {
        by_age_.splice(by_age_.begin(), by_age_, found->second.age);
        return found->second.segment;
    }
    while (size_ + size > capacity_ && !by_age_.empty()) {
        const auto oldest = entries_.find(by_age_.back());
        size_ -= oldest->second.segment->memory_size();
        entries_.erase(oldest);
        by_age_.pop_back();
    }
    auto made = Segment(new CachedSegment(take_spare(size), size), [this](CachedSegment* segment) {
        const std::unique_ptr<CachedSegment> owned(segment);
        give_spare(owned->take_memory());
    });
    by_age_.push_front(name);
    entries_[name] = {made, by_age_.begin()};
    size_ += made->memory_size();
    return made;
}

UnfilledBytes SegmentCache::take_spare(uint64_t size) {
    const std::lock_guard lock(spares_mutex_);
    const auto fits = std::ranges::find_if(
        spares_, [&](const UnfilledBytes& spare) { return spare.size() >= size; });
    if (fits == spares_.end()) {
        return UnfilledBytes(size);
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
