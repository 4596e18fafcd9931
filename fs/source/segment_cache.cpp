#include "fs/source/segment_cache.h"

namespace imgfs {
namespace {

constexpr size_t kMostSpares = 2;  // one for a reader, one for reading ahead

}  // namespace

SegmentCache::Segment SegmentCache::get(uint64_t number, const Decode& decode) {
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
        auto bytes = take_spare();
        decode(*bytes);
        segment = Segment(bytes.release(),
                          [this](Bytes* gone) { give_spare(std::unique_ptr<Bytes>(gone)); });
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

std::unique_ptr<Bytes> SegmentCache::take_spare() {
    const std::lock_guard lock(spares_mutex_);
    if (spares_.empty()) {
        return std::make_unique<Bytes>();
    }
    auto bytes = std::move(spares_.back());
    spares_.pop_back();
    return bytes;
}

void SegmentCache::give_spare(std::unique_ptr<Bytes> bytes) {
    const std::lock_guard lock(spares_mutex_);
    if (spares_.size() < kMostSpares) {
        spares_.push_back(std::move(bytes));
    }
}

void SegmentCache::keep(uint64_t number, const Segment& segment) {
    by_age_.push_front(number);
    entries_[number] = {segment, by_age_.begin()};
    size_ += segment->capacity();
    // The newest stays even if it alone is over the capacity: its reader needs it now.
    while (size_ > capacity_ && by_age_.size() > 1) {
        const auto oldest = entries_.find(by_age_.back());
        size_ -= oldest->second.segment->capacity();
        entries_.erase(oldest);
        by_age_.pop_back();
    }
}

}  // namespace imgfs
