#include "fs/source/read_ahead.h"

#include <algorithm>

namespace imgfs {
namespace {

constexpr size_t kMostWishes = 8;  // those of readers that have gone on meanwhile are of no use
// Who goes forward comes to a segment at its start; give or take what the kernel reads at once, and
// what a small file system object in between takes. Of random reads few come there.
constexpr uint64_t kStart = kMiB;

}  // namespace

ReadAhead::ReadAhead(size_t threads, Segments segments)
    : depth_(threads), segments_(std::move(segments)) {
    for (size_t i = 0; i < threads; ++i) {
        threads_.emplace_back([this] { run(); });
    }
}

ReadAhead::~ReadAhead() {
    {
        const std::lock_guard lock(mutex_);
        ending_ = true;
    }
    wake_.notify_all();
    for (auto& thread : threads_) {
        thread.join();
    }
}

void ReadAhead::note_read(uint64_t begin, uint64_t end, uint64_t offset) {
    {
        const std::lock_guard lock(mutex_);
        if (std::ranges::find(expected_, end) != expected_.end()) {
            return;  // it reads on in the segment
        }
        const auto forward = std::ranges::find(expected_, begin);
        const bool follows = forward != expected_.end() && begin != 0 && offset - begin < kStart;
        const auto oldest = follows ? forward : std::prev(expected_.end());
        *oldest = end;
        std::rotate(expected_.begin(), oldest, std::next(oldest));
        if (!follows) {
            return;
        }
        auto ahead = segments_.next(begin);
        for (size_t i = 0; i < depth_ && ahead != 0; ++i) {
            wish(ahead);
            ahead = segments_.next(ahead);
        }
    }
    wake_.notify_all();
}

// Needs mutex_.
void ReadAhead::wish(uint64_t offset) {
    if (std::ranges::find(fetched_, offset) != fetched_.end()) {
        return;
    }
    std::shift_right(fetched_.begin(), fetched_.end(), 1);
    fetched_.front() = offset;
    wishes_.push_back(offset);
    if (wishes_.size() > kMostWishes) {
        wishes_.pop_front();
    }
}

void ReadAhead::run() {
    std::unique_lock lock(mutex_);
    while (true) {
        wake_.wait(lock, [this] { return ending_ || !wishes_.empty(); });
        if (ending_) {
            return;
        }
        const auto offset = wishes_.front();
        wishes_.pop_front();
        lock.unlock();
        try {
            segments_.fetch(offset);
        } catch (const std::exception&) {
            // As promised.
        }
        lock.lock();
    }
}

}  // namespace imgfs
