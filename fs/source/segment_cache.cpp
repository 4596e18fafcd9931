#include "fs/source/segment_cache.h"

namespace imgfs {

SegmentCache::Segment SegmentCache::get(uint64_t number, const std::function<Bytes()>& decode) {
    std::unique_lock lock(mutex_);
    for (auto found = entries_.find(number); found != entries_.end();
         found = entries_.find(number)) {
        if (found->second.segment) {
            by_age_.splice(by_age_.begin(), by_age_, found->second.age);
            return found->second.segment;
        }
        made_.wait(lock);
    }
    entries_.emplace(number, Entry{});
    lock.unlock();
    Segment segment;
    try {
        segment = std::make_shared<const Bytes>(decode());
    } catch (...) {
        lock.lock();
        entries_.erase(number);
        made_.notify_all();
        throw;
    }
    lock.lock();
    keep(number, segment);
    made_.notify_all();
    return segment;
}

bool SegmentCache::has(uint64_t number) const {
    const std::lock_guard lock(mutex_);
    return entries_.contains(number);
}

void SegmentCache::keep(uint64_t number, const Segment& segment) {
    by_age_.push_front(number);
    entries_[number] = {segment, by_age_.begin()};
    size_ += segment->size();
    // The newest stays even if it alone is over the capacity: its reader needs it now.
    while (size_ > capacity_ && by_age_.size() > 1) {
        const auto oldest = entries_.find(by_age_.back());
        size_ -= oldest->second.segment->size();
        entries_.erase(oldest);
        by_age_.pop_back();
    }
}

}  // namespace imgfs
