#include "fs/view/commit_gate.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

#include "fs/base/error.h"
#include "tests/support/slow_device.h"

namespace imgfs {
namespace {

using namespace std::chrono_literals;

CommitterOptions never_by_itself() {
    return {.delay = 1h};
}

void change(Committer& committer, Device& device, uint64_t offset, uint8_t value) {
    const Committer::Change inside(committer, 1);
    device.write(offset, Bytes(1, std::byte{value}));
}

int code_of(const std::function<void()>& work) {
    try {
        work();
    } catch (const std::system_error& error) {
        return error.code().value();
    }
    return 0;
}

TEST(CommitGateTest, ClosesOnlyWhenNobodyIsInside) {
    CommitGate gate;
    gate.enter();
    gate.enter();
    std::atomic<bool> left = false;
    auto closing = std::async(std::launch::async, [&] {
        gate.close();
        EXPECT_TRUE(left);
        gate.open();
    });
    gate.leave();
    left = true;
    gate.leave();
    closing.get();
    gate.enter();
    gate.leave();
}

TEST(CommitGateTest, IsNotStarvedByChangesThatFollowEachOther) {
    CommitGate gate;
    std::atomic<bool> stop = false;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] {
            while (!stop) {
                gate.enter();
                gate.leave();
            }
        });
    }
    for (int i = 0; i < 200; ++i) {
        gate.close();
        gate.open();
    }
    stop = true;
    for (auto& thread : threads) {
        thread.join();
    }
}

TEST(CommitterTest, MakesWhatWasChangedDurable) {
    SlowDevice device;
    int prepared = 0;
    Committer committer(
        device,
        [&] {
            ++prepared;
            device.write(1, Bytes(1, std::byte{9}));
        },
        never_by_itself());
    change(committer, device, 0, 7);
    EXPECT_EQ(device.committed(0), std::byte{0});
    committer.commit();
    EXPECT_EQ(device.committed(0), std::byte{7});
    EXPECT_EQ(device.committed(1), std::byte{9}) << "what prepare wrote belongs to it";
    EXPECT_EQ(prepared, 1);
}

TEST(CommitterTest, DoesNothingWhileNothingIsChanged) {
    SlowDevice device;
    std::atomic<int> prepared = 0;
    Committer committer(device, [&] { ++prepared; }, {.delay = 1ms});
    committer.commit();
    EXPECT_EQ(prepared, 0);
    { const Committer::Change wrote_nothing(committer, 1); }
    committer.commit();
    EXPECT_EQ(device.syncs, 0);
    change(committer, device, 0, 1);
    committer.commit();
    committer.commit();
    EXPECT_EQ(device.syncs, 1);
}

TEST(CommitterTest, NoChangeRunsWhileItPrepares) {
    SlowDevice device;
    std::atomic<int> inside = 0;
    Committer committer(device, [&] { EXPECT_EQ(inside, 0); }, {.delay = 1ms});
    std::vector<std::thread> threads;
    for (uint8_t thread = 0; thread < 4; ++thread) {
        threads.emplace_back([&, thread] {
            for (int i = 0; i < 200; ++i) {
                {
                    const Committer::Change running(committer, 1);
                    ++inside;
                    device.write(thread, Bytes(1, static_cast<std::byte>(i)));
                    --inside;
                }
                if (i % 10 == 0) {
                    committer.commit();
                    EXPECT_EQ(device.committed(thread), static_cast<std::byte>(i));
                }
            }
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
}

TEST(CommitterTest, CallsThatComeTogetherShareOneCommit) {
    SlowDevice device;
    Committer committer(
        device, [] {}, never_by_itself());
    device.hold();
    change(committer, device, 0, 1);
    auto first = std::async(std::launch::async, [&] { committer.commit(); });
    device.wait_for_sync(1);
    std::vector<std::future<void>> others;
    for (uint8_t i = 1; i <= 8; ++i) {
        change(committer, device, i, i);
    }
    for (uint8_t i = 1; i <= 8; ++i) {
        others.push_back(std::async(std::launch::async, [&, i] {
            committer.commit();
            EXPECT_EQ(device.committed(i), std::byte{i});
        }));
    }
    EXPECT_EQ(device.committed(1), std::byte{0});
    device.release();
    first.get();
    for (auto& other : others) {
        other.get();
    }
    EXPECT_EQ(device.syncs, 2);
}

TEST(CommitterTest, ChangesGoOnWhileACommitIsSynced) {
    SlowDevice device;
    Committer committer(
        device, [] {}, never_by_itself());
    device.hold();
    change(committer, device, 0, 1);
    auto committing = std::async(std::launch::async, [&] { committer.commit(); });
    device.wait_for_sync(1);
    change(committer, device, 0, 2);
    device.release();
    committing.get();
    EXPECT_EQ(device.committed(0), std::byte{1}) << "what came after the cut is not in it";
    committer.commit();
    EXPECT_EQ(device.committed(0), std::byte{2});
}

TEST(CommitterTest, CommitsByItselfAfterAWhile) {
    SlowDevice device;
    Committer committer(device, [] {}, {.delay = 1ms});
    change(committer, device, 0, 3);
    device.wait_for_sync(1);
    committer.commit();
    EXPECT_EQ(device.committed(0), std::byte{3});
}

TEST(CommitterTest, CommitsByItselfWhenMuchIsChanged) {
    SlowDevice device;
    Committer committer(device, [] {}, {.delay = 1h, .commit_at = 1000});
    {
        const Committer::Change large(committer, 1000);
        device.write(0, Bytes(1000, std::byte{4}));
    }
    device.wait_for_sync(1);
    committer.commit();
    EXPECT_EQ(device.committed(999), std::byte{4});
}

TEST(CommitterTest, HoldsWritersUpWhileTooMuchIsNotDurable) {
    SlowDevice device;
    Committer committer(device, [] {}, {.delay = 1h, .commit_at = 1000, .block_at = 2000});
    device.hold();
    {
        const Committer::Change large(committer, 3000);
        device.write(0, Bytes(3000, std::byte{4}));
    }
    device.wait_for_sync(1);
    std::atomic<bool> released = false;
    auto writer = std::async(std::launch::async, [&] {
        const Committer::Change held_up(committer, 1);
        EXPECT_TRUE(released);
    });
    EXPECT_EQ(writer.wait_for(20ms), std::future_status::timeout);
    released = true;
    device.release();
    writer.get();
}

TEST(CommitterTest, RefusesChangesThatHaveNoSpaceBeforeTheyBegin) {
    SlowDevice device;
    Committer committer(
        device, [] {}, never_by_itself());
    device.full = true;
    EXPECT_EQ(code_of([&] { change(committer, device, 0, 1); }), ENOSPC);
    EXPECT_EQ(device.dirty_bytes(), 0U);
    device.full = false;
    change(committer, device, 0, 1);
    committer.commit();
    EXPECT_EQ(device.committed(0), std::byte{1});
}

TEST(CommitterTest, ReservesWhatPreparingNeedsOnceForEachCommit) {
    SlowDevice device;
    Committer committer(device, [] {},
                        {.prepare_bytes = [] { return uint64_t{500}; }, .delay = 1h});
    change(committer, device, 0, 1);
    change(committer, device, 1, 1);
    EXPECT_EQ(device.reserved, 502U);
    committer.commit();
    change(committer, device, 2, 1);
    EXPECT_EQ(device.reserved, 1003U);
}

TEST(CommitterTest, TakesNoMoreChangesAfterAFailedCommit) {
    SlowDevice device;
    Committer committer(
        device, [] {}, never_by_itself());
    change(committer, device, 0, 1);
    device.broken = true;
    EXPECT_EQ(code_of([&] { committer.commit(); }), EIO);
    device.broken = false;
    EXPECT_EQ(code_of([&] { committer.commit(); }), EIO) << "said each time";
    EXPECT_EQ(code_of([&] { change(committer, device, 0, 1); }), EROFS);
    EXPECT_EQ(device.syncs, 1) << "a failed sync is never repeated";
}

TEST(CommitterTest, AFailedCommitOfItsOwnIsSaidOnceAndKnown) {
    SlowDevice device;
    testing::internal::CaptureStderr();
    {
        Committer committer(device, [] {}, {.delay = 0ms});
        EXPECT_EQ(committer.failure(), "");
        device.broken = true;
        change(committer, device, 0, 1);
        while (committer.failure().empty()) {
            std::this_thread::yield();
        }
        EXPECT_EQ(committer.failure(), "nothing can be written any more: the disk is on fire");
        EXPECT_EQ(code_of([&] { change(committer, device, 0, 2); }), EROFS);
    }
    EXPECT_EQ(testing::internal::GetCapturedStderr(),
              "imgfs: nothing can be written any more: the disk is on fire\n");
}

TEST(CommitterTest, ADeviceThatStoppedWithoutACommitIsKnown) {
    SlowDevice device;
    const Committer committer(
        device, [] {}, never_by_itself());
    device.drop_uncommitted();
    EXPECT_EQ(committer.failure(), "nothing can be written any more: the device is read-only");
}

TEST(CommitterTest, AFailingPreparationIsNotCut) {
    SlowDevice device;
    Committer committer(
        device, [] { fail(EUCLEAN, "bitmap of group 3"); }, never_by_itself());
    change(committer, device, 0, 1);
    EXPECT_EQ(code_of([&] { committer.commit(); }), EUCLEAN);
    EXPECT_EQ(device.syncs, 0);
    try {
        change(committer, device, 0, 1);
        FAIL();
    } catch (const std::system_error& error) {
        EXPECT_NE(message_of(error).find("bitmap of group 3"), std::string::npos);
    }
}

TEST(CommitterTest, WhoWaitsForAFailedCommitIsTold) {
    SlowDevice device;
    Committer committer(
        device, [] {}, never_by_itself());
    change(committer, device, 0, 1);
    device.hold();
    device.broken = true;
    std::vector<std::future<int>> waiting;
    for (int i = 0; i < 4; ++i) {
        waiting.push_back(
            std::async(std::launch::async, [&] { return code_of([&] { committer.commit(); }); }));
    }
    device.wait_for_sync(1);
    device.release();
    for (auto& call : waiting) {
        EXPECT_EQ(call.get(), EIO);
    }
}

TEST(CommitterTest, AnAbandonedChangeIsUndoneWhenTheOthersHaveEnded) {
    SlowDevice device;
    bool went_back = false;
    Committer committer(device, [] {},
                        {.go_back =
                             [&] {
                                 Bytes byte(1);
                                 device.read(0, byte);
                                 EXPECT_EQ(byte[0], std::byte{1});
                                 went_back = true;
                             },
                         .delay = 1h});
    change(committer, device, 0, 1);
    committer.commit();
    std::promise<void> other_is_inside;
    std::promise<void> other_may_end;
    auto other = std::async(std::launch::async, [&] {
        const Committer::Change running(committer, 1);
        device.write(0, Bytes(1, std::byte{3}));
        other_is_inside.set_value();
        other_may_end.get_future().wait();
        EXPECT_FALSE(went_back);
        EXPECT_FALSE(device.read_only());
    });
    other_is_inside.get_future().wait();
    auto failing = std::async(std::launch::async, [&] {
        Committer::Change half(committer, 1);
        device.write(0, Bytes(1, std::byte{2}));
        half.abandon("half of it");
        other_may_end.set_value();
    });
    failing.get();
    other.get();
    EXPECT_TRUE(went_back);
    EXPECT_TRUE(device.read_only());
    EXPECT_EQ(device.committed(0), std::byte{1});
    EXPECT_EQ(code_of([&] { change(committer, device, 0, 1); }), EROFS);
    EXPECT_EQ(code_of([&] { committer.commit(); }), EROFS);
    EXPECT_EQ(device.syncs, 1);
}

TEST(CommitterTest, AbandonWaitsForTheCommitThatIsBeingSynced) {
    SlowDevice device;
    Committer committer(
        device, [] {}, never_by_itself());
    device.hold();
    change(committer, device, 0, 1);
    auto committing = std::async(std::launch::async, [&] { committer.commit(); });
    device.wait_for_sync(1);
    auto failing = std::async(std::launch::async, [&] {
        Committer::Change half(committer, 1);
        device.write(0, Bytes(1, std::byte{2}));
        half.abandon();
    });
    device.release();
    failing.get();
    code_of([&] { committing.get(); });
    EXPECT_EQ(device.committed(0), std::byte{1});
    EXPECT_TRUE(device.read_only());
}

}  // namespace
}  // namespace imgfs
