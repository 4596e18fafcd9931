// Many readers and writers at once, with commits; run under -DSANITIZE=thread too.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/support/delta_rig.h"
#include "tests/support/temp_dir.h"

namespace imgfs {
namespace {

constexpr uint64_t kThreads = 4;
constexpr uint64_t kRegion = 32 * kBlockSize;
constexpr uint64_t kShared = kThreads * kRegion;  // a block of which each thread owns some bytes
constexpr uint64_t kLane = 512;
constexpr int kRounds = 150;

class ThreadsTest : public testing::Test {
  protected:
    // Changes its own region and its own bytes of the shared block, and sees what it wrote.
    void work(CowDevice& device, uint64_t thread) {
        std::mt19937_64 random(thread);
        const auto own = ByteSpan(model_).subspan(thread * kRegion, kRegion);
        const auto lane = ByteSpan(model_).subspan(kShared + thread * kLane, kLane);
        for (int round = 0; round < kRounds; ++round) {
            const auto at = random() % kRegion;
            const auto length = std::min(kRegion - at, random() % (3 * kBlockSize) + 1);
            const auto target = own.subspan(at, length);
            if (round % 5 == 0) {
                device.discard(thread * kRegion + at, length);
                std::ranges::fill(target, std::byte{});
            } else {
                std::ranges::copy(noise(length, random()), target.begin());
                device.reserve(length);
                device.write(thread * kRegion + at, target);
            }
            std::ranges::copy(noise(kLane, random()), lane.begin());
            device.write(kShared + thread * kLane, lane);
            Bytes seen(length);
            device.read(thread * kRegion + at, seen);
            ASSERT_TRUE(std::ranges::equal(seen, target));
            Bytes seen_lane(kLane);
            device.read(kShared + thread * kLane, seen_lane);
            ASSERT_TRUE(std::ranges::equal(seen_lane, lane));
        }
    }

    const TempDir dir_{memory_directory()};
    const Bytes image_ = noise(kShared + kBlockSize, 1);
    Bytes model_ = image_;
};

TEST_F(ThreadsTest, EveryoneSeesWhatTheyWroteWhileCommitsGoOn) {
    auto opened = open_delta(dir_ / "delta", image_);
    auto& device = *opened.device;
    std::atomic<bool> done = false;
    std::vector<std::thread> threads;
    for (uint64_t thread = 0; thread < kThreads; ++thread) {
        threads.emplace_back([this, &device, thread] { work(device, thread); });
    }
    std::thread committing([&] {
        while (!done) {
            device.cut();
            device.sync();
        }
    });
    std::thread watching([&] {
        uint64_t commits = 0;
        while (!done) {
            read_all(device);
            EXPECT_FALSE(device.read_only());
            const auto now = opened.store->state().commits;
            EXPECT_GE(now, commits);
            commits = now;
        }
    });
    for (auto& thread : threads) {
        thread.join();
    }
    done = true;
    committing.join();
    watching.join();
    EXPECT_EQ(read_all(device), model_);
    device.flush();
    opened = {};
    EXPECT_EQ(read_all(*open_delta(dir_ / "delta", image_).device), model_);
}

TEST_F(ThreadsTest, DroppingWhileOthersWriteEndsAtTheLastCommit) {
    auto opened = open_delta(dir_ / "delta", image_);
    auto& device = *opened.device;
    device.write(0, noise(kRegion, 5));
    device.flush();
    const auto committed = read_all(device);
    std::vector<std::thread> threads;
    for (uint64_t thread = 0; thread < kThreads; ++thread) {
        threads.emplace_back([&device, thread] {
            const auto bytes = noise(kBlockSize + 100, thread);
            while (error_of([&] { device.write(thread * kRegion + 50, bytes); }) == 0) {
            }
        });
    }
    device.drop_uncommitted();
    for (auto& thread : threads) {
        thread.join();
    }
    EXPECT_EQ(read_all(device), committed);
}

// A layer that was overwritten often is replaced by a smaller one while others read from it.
TEST_F(ThreadsTest, PointsAreMadeAndCompactedWhileOthersReadAndWrite) {
    constexpr uint64_t kOverwritten = 5 * kMiB / 2;
    auto opened = open_delta(dir_ / "delta", image_);
    auto& device = *opened.device;
    std::atomic<bool> done = false;
    std::vector<std::thread> threads;
    for (uint64_t thread = 0; thread < kThreads; ++thread) {
        threads.emplace_back([&, thread] {
            Bytes seen(kRegion);
            for (uint64_t round = 0; !done; ++round) {
                const auto bytes = noise(kRegion, thread * 1000 + round);
                device.write(thread * kRegion, bytes);
                for (int i = 0; i < 4; ++i) {
                    device.read(thread * kRegion, seen);
                    ASSERT_TRUE(same(seen, bytes));
                }
            }
        });
    }
    for (int point = 0; point < 4; ++point) {
        while (opened.store->state().unsealed_bytes < kOverwritten) {
            device.cut();
            device.sync();
        }
        device.seal({.name = "point-" + std::to_string(point)});
    }
    done = true;
    for (auto& thread : threads) {
        thread.join();
    }
    for (const auto& point : opened.store->points()) {
        EXPECT_LT(point.bytes, kOverwritten / 2) << point.name;
    }
    const auto content = read_all(device);
    device.flush();
    opened = {};
    EXPECT_TRUE(same(read_all(*open_delta(dir_ / "delta", image_).device), content));
}

}  // namespace
}  // namespace imgfs
