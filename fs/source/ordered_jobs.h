// OrderedJobs: work on all cores with bounded memory, whose results come back in order.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "fs/base/bytes.h"

namespace imgfs {

/// For the use of one thread, the caller, which hands jobs in and gets their reports, one at a time
/// and in the order of the jobs. Destroying it drops what has not begun, waits for what has, and
/// reports neither.
class OrderedJobs {
  public:
    /// Called on the caller's thread, inside add() or finish().
    using Report = std::function<void()>;
    /// Called once on some other thread. What it throws is thrown in place of its report.
    using Job = std::function<Report()>;

    /// `memory`: bytes that all jobs and reports may hold at once. The threads have the priority
    /// that the caller has now.
    explicit OrderedJobs(uint64_t memory, unsigned threads = std::thread::hardware_concurrency());
    ~OrderedJobs();

    /// `bytes` are held by the job until its report is over; of one that is larger than the bound
    /// no other stands beside it. Calls the reports that are ready, and waits for those that must
    /// make room. Throws what a job or a report throws; the jobs behind it stay, the new one is
    /// not taken.
    void add(uint64_t bytes, Job job);

    /// Calls all reports that are left. Throws as add() does.
    void finish();

  private:
    struct Entry {
        Job job;
        uint64_t bytes = 0;
        Report report;
        std::exception_ptr error;
        bool done = false;
    };

    void work(const std::stop_token& stop);
    bool first_is_done();
    void report_first();

    const uint64_t memory_;
    uint64_t held_ = 0;  // the caller's own
    size_t left_ = 0;

    std::mutex mutex_;
    std::condition_variable_any given_;  // there is an entry that nobody has begun
    std::condition_variable done_;       // the first entry may be done
    std::deque<Entry> entries_;          // those begun first; an entry doesn't move in memory
    size_t begun_ = 0;

    std::vector<std::jthread> threads_;  // last, so that they end before what they use
};

}  // namespace imgfs
