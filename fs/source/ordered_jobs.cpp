#include "fs/source/ordered_jobs.h"

#include <algorithm>
#include <utility>

namespace imgfs {

OrderedJobs::OrderedJobs(uint64_t memory, unsigned threads) : memory_(memory) {
    for (unsigned i = 0; i < std::max(threads, 1U); ++i) {
        threads_.emplace_back([this](const std::stop_token& stop) { work(stop); });
    }
}

OrderedJobs::~OrderedJobs() {
    for (auto& thread : threads_) {
        thread.request_stop();  // all of them, before the first is waited for
    }
}

void OrderedJobs::work(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (given_.wait(lock, stop, [this] { return begun_ < entries_.size(); }) &&
           !stop.stop_requested()) {
        auto& entry = entries_[begun_++];
        lock.unlock();
        try {
            entry.report = entry.job();
        } catch (...) {
            entry.error = std::current_exception();
        }
        entry.job = nullptr;
        lock.lock();
        entry.done = true;
        done_.notify_one();
    }
}

void OrderedJobs::add(uint64_t bytes, Job job) {
    while (first_is_done()) {
        report_first();
    }
    while (left_ != 0 && held_ + bytes > memory_) {
        report_first();
    }
    const std::lock_guard lock(mutex_);
    entries_.push_back({.job = std::move(job), .bytes = bytes});
    held_ += bytes;  // only now: there may have been no memory for the entry
    ++left_;
    given_.notify_one();
}

void OrderedJobs::finish() {
    while (left_ != 0) {
        report_first();
    }
}

bool OrderedJobs::first_is_done() {
    const std::lock_guard lock(mutex_);
    return !entries_.empty() && entries_.front().done;
}

void OrderedJobs::report_first() {
    Entry entry;
    {
        std::unique_lock lock(mutex_);
        done_.wait(lock, [this] { return entries_.front().done; });
        entry = std::move(entries_.front());
        entries_.pop_front();
        --begun_;
    }
    held_ -= entry.bytes;
    --left_;
    if (entry.error) {
        std::rethrow_exception(entry.error);
    }
    entry.report();
}

}  // namespace imgfs
