#include "fs/source/read_ahead.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>

namespace imgfs {
namespace {

constexpr uint64_t kSegment = 8 * kMiB;

/// Segments of kSegment without an end; keeps which were made ready.
class ReadAheadTest : public testing::Test {
  protected:
    void read_at(uint64_t offset) {
        const auto begin = round_down(offset, kSegment);
        read_ahead_.note_read(begin, begin + kSegment, offset);
    }

    /// Once there are as many.
    std::vector<uint64_t> first_fetched(size_t count) {
        std::unique_lock lock(mutex_);
        grown_.wait(lock, [&] { return fetched_.size() >= count; });
        return fetched_;
    }

  private:
    void fetch(uint64_t offset) {
        const std::lock_guard lock(mutex_);
        fetched_.push_back(offset);
        grown_.notify_all();
    }

    std::mutex mutex_;
    std::condition_variable grown_;
    std::vector<uint64_t> fetched_;
    ReadAhead read_ahead_{1,
                          {.next = [](uint64_t offset) { return offset + kSegment; },
                           .fetch = [this](uint64_t offset) { fetch(offset); }}};
};

TEST_F(ReadAheadTest, WhoComesToTheStartOfTheNextSegmentHasTheOneBehindItMadeReady) {
    read_at(kSegment - 4096);
    read_at(kSegment + 64 * kKiB);
    EXPECT_EQ(first_fetched(1), (std::vector<uint64_t>{2 * kSegment}));
}

TEST_F(ReadAheadTest, WhatIsReadElsewhereInBetweenMakesNoDifference) {
    read_at(5 * kMiB);
    read_at(30 * kSegment + 3 * kMiB);
    read_at(6 * kMiB);
    read_at(kSegment);
    EXPECT_EQ(first_fetched(1), (std::vector<uint64_t>{2 * kSegment}));
}

TEST_F(ReadAheadTest, ARandomReadThatHitsTheNextSegmentFarFromItsStartMakesNothingReady) {
    read_at(kSegment - 4096);
    read_at(kSegment + 3 * kMiB);
    read_at(20 * kSegment);
    read_at(21 * kSegment);  // this one goes forward
    EXPECT_EQ(first_fetched(1), (std::vector<uint64_t>{22 * kSegment}));
}

}  // namespace
}  // namespace imgfs
