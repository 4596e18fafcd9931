#include "fs/source/ordered_jobs.h"

#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <memory>
#include <stdexcept>

namespace imgfs {
namespace {

TEST(OrderedJobsTest, ReportsComeInTheOrderOfTheJobsOnTheCallersThread) {
    constexpr size_t kCount = 3000;
    const auto caller = std::this_thread::get_id();
    std::vector<size_t> seen;
    OrderedJobs jobs(64, 4);
    for (size_t i = 0; i < kCount; ++i) {
        jobs.add(1, [&, i] {
            uint64_t spent = i;
            for (size_t step = 0; step < i * 7919 % 400; ++step) {
                spent = spent * 6364136223846793005U + 1;
            }
            return [&, i, result = Bytes(1 + spent % 100)] {
                EXPECT_EQ(std::this_thread::get_id(), caller);
                EXPECT_FALSE(result.empty());
                seen.push_back(i);
            };
        });
    }
    jobs.finish();
    ASSERT_EQ(seen.size(), kCount);
    for (size_t i = 0; i < kCount; ++i) {
        ASSERT_EQ(seen[i], i);
    }
}

TEST(OrderedJobsTest, JobsRunAtTheSameTime) {
    std::barrier all_there(3);
    size_t reports = 0;
    OrderedJobs jobs(3, 3);
    for (int i = 0; i < 3; ++i) {
        jobs.add(1, [&] {
            all_there.arrive_and_wait();  // hangs if one waits for another
            return [&] { ++reports; };
        });
    }
    jobs.finish();
    EXPECT_EQ(reports, 3U);
}

TEST(OrderedJobsTest, HoldsNoMoreThanItsMemory) {
    std::atomic<uint64_t> held = 0;
    std::atomic<uint64_t> most = 0;
    OrderedJobs jobs(100, 4);
    for (uint64_t i = 0; i < 500; ++i) {
        const uint64_t bytes = i % 50 == 0 ? 1000 : 10 + i % 30;
        jobs.add(bytes, [&, bytes] {
            const auto now = held += bytes;
            if (bytes < 1000 && now > most) {
                most = now;
            }
            EXPECT_TRUE(bytes < 1000 || now == bytes) << "a large one beside others: " << now;
            return [&, bytes] { held -= bytes; };
        });
    }
    jobs.finish();
    EXPECT_EQ(held, 0U);
    EXPECT_LE(most, 100U);
}

TEST(OrderedJobsTest, WhatAJobThrowsComesInPlaceOfItsReport) {
    std::string seen;
    OrderedJobs jobs(2, 2);
    const auto add = [&](char name) {
        jobs.add(1, [&seen, name]() -> OrderedJobs::Report {
            if (name == 'c') {
                throw std::runtime_error("job c");
            }
            return [&seen, name] { seen += name; };
        });
    };
    try {
        for (const char name : std::string("abcdef")) {
            add(name);
        }
        jobs.finish();
        FAIL() << "nothing was thrown";
    } catch (const std::runtime_error& error) {
        EXPECT_STREQ(error.what(), "job c");
        EXPECT_EQ(seen, "ab");
    }
}

TEST(OrderedJobsTest, WhatAReportThrowsReachesTheCallerAndTheRestGoesOn) {
    std::string seen;
    OrderedJobs jobs(10, 2);
    for (const char name : std::string("abc")) {
        jobs.add(1, [&seen, name] {
            return [&seen, name] {
                if (name == 'a') {
                    throw std::runtime_error("report a");
                }
                seen += name;
            };
        });
        if (name == 'a') {
            EXPECT_THROW(jobs.finish(), std::runtime_error);
        }
    }
    jobs.finish();
    EXPECT_EQ(seen, "bc");
}

TEST(OrderedJobsTest, DestroyedInTheMiddleItLetsGoOfAllJobs) {
    std::atomic<int> begun = 0;
    const auto held = std::make_shared<int>();
    for (int round = 0; round < 200; ++round) {
        const auto before = begun.load();
        OrderedJobs jobs(1000, 3);
        for (int i = 0; i < 100; ++i) {
            jobs.add(1, [&, held] {
                ++begun;
                return [held] {};
            });
        }
        while (begun == before) {
            std::this_thread::yield();
        }
    }
    EXPECT_EQ(held.use_count(), 1);
}

TEST(OrderedJobsTest, OneThatRunsIsWaitedFor) {
    std::atomic<bool> begun = false;
    bool ended = false;
    {
        OrderedJobs jobs(1, 1);
        jobs.add(1, [&] {
            begun = true;
            begun.notify_all();
            for (int i = 0; i < 1000; ++i) {
                std::this_thread::yield();
            }
            ended = true;
            return [] { ADD_FAILURE() << "reported though nobody asked"; };
        });
        begun.wait(false);
    }
    EXPECT_TRUE(ended);
}

TEST(OrderedJobsTest, NoJobsIsFine) {
    OrderedJobs jobs(1);
    jobs.finish();
}

}  // namespace
}  // namespace imgfs
