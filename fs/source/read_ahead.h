// ReadAhead: sees who reads forward, and has what comes next decoded on other threads, in runs of
// neighbouring segments.
#pragma once

#include <array>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "fs/base/bytes.h"

namespace imgfs {

/// Safe from any thread.
class ReadAhead {
  public:
    struct Segments {
        /// Start of the run behind the one that `offset` is in; 0 if there is none, or not yet.
        /// Quick.
        std::function<uint64_t(uint64_t offset)> next;
        /// Makes the run at `offset` ready. What it throws is dropped: whoever comes there
        /// meets it again.
        std::function<void(uint64_t offset)> fetch;
    };
    ReadAhead(size_t threads, Segments segments);
    ~ReadAhead();

    /// Somebody reads at `offset` of a source, in its segment [begin, end).
    void note_read(uint64_t begin, uint64_t end, uint64_t offset);

  private:
    void wish(uint64_t offset);
    void run();

    const size_t depth_;  // runs that are made ready before their reader comes
    const Segments segments_;

    std::mutex mutex_;
    std::condition_variable wake_;
    // Where readers that go forward will be next, the latest first: between two pieces of a file
    // its directory and its inode are read, too.
    std::array<uint64_t, 8> expected_{};
    std::array<uint64_t, 16> fetched_{};  // lately, the latest first
    std::deque<uint64_t> wishes_;
    bool ending_ = false;
    std::vector<std::thread> threads_;
};

}  // namespace imgfs
