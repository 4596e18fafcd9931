#include "fs/source/decoder_pool.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <thread>

#include "tests/support/thrown.h"

namespace imgfs {
namespace {

class Sized final : public Decoder {
  public:
    explicit Sized(uint64_t memory) : memory_(memory) {}
    void read(ByteSpan) override {}
    uint64_t memory(uint64_t) const override { return memory_; }

  private:
    uint64_t memory_;
};

DecoderPool::Open opener(uint64_t memory, uint64_t packed_bit = 8) {
    return [=] {
        return OpenDecoder{.packed_bit = packed_bit, .decoder = std::make_unique<Sized>(memory)};
    };
}

/// Not one from the pool, since nobody was there before.
OpenDecoder fresh(DecoderPool& pool, uint64_t packed_bit, uint64_t plain, uint64_t memory = 10) {
    auto taken = pool.take({packed_bit, 0, 1000}, opener(memory, packed_bit));
    taken.plain = plain;
    return taken;
}

/// Where the one stands that is taken; 0 if it is new.
uint64_t stands_at(DecoderPool& pool, uint64_t packed_bit, uint64_t plain) {
    return pool.take({packed_bit, plain, 1000}, opener(10, packed_bit)).plain;
}

TEST(DecoderPoolTest, TheOneThatNeedsToSkipLeastIsTaken) {
    DecoderPool pool({.most = 1000, .idle = 1000});
    std::vector<OpenDecoder> open;
    for (const uint64_t plain : {100, 300, 200, 400}) {
        open.push_back(fresh(pool, 8, plain));
    }
    open.push_back(fresh(pool, 16, 310));
    for (auto& one : open) {
        pool.give(std::move(one));
    }
    EXPECT_EQ(stands_at(pool, 8, 350), 300U);
    EXPECT_EQ(stands_at(pool, 8, 350), 200U) << "it was taken out";
    EXPECT_EQ(stands_at(pool, 8, 99), 0U) << "none goes back";
    EXPECT_EQ(stands_at(pool, 24, 500), 0U) << "of another point";
}

TEST(DecoderPoolTest, OneFromAnotherPointIsTakenWhereItStandsNearEnough) {
    DecoderPool pool({.most = 1000, .idle = 1000});
    pool.give(fresh(pool, 8, 100));
    const auto taken_from = [&](uint64_t from, uint64_t plain) {
        auto taken = pool.take({.packed_bit = 16, .plain = plain, .end = 1000, .from = from},
                               opener(10, 16));
        const auto packed_bit = taken.packed_bit;
        if (packed_bit == 8) {
            pool.give(std::move(taken));
        }
        return packed_bit;
    };
    EXPECT_EQ(taken_from(101, 120), 16U) << "it stands before the point";
    EXPECT_EQ(taken_from(90, 99), 16U) << "none goes back";
    EXPECT_EQ(taken_from(100, 100), 8U);
    EXPECT_EQ(taken_from(90, 120), 8U);
}

TEST(DecoderPoolTest, MemoryOfIdleOnesIsBoundedButForTheLatest) {
    DecoderPool pool({.most = 1000, .idle = 25});
    std::array open = {fresh(pool, 8, 1), fresh(pool, 8, 2), fresh(pool, 8, 3)};
    for (auto& one : open) {
        pool.give(std::move(one));
    }
    EXPECT_EQ(stands_at(pool, 8, 9), 3U);
    EXPECT_EQ(stands_at(pool, 8, 9), 2U);
    EXPECT_EQ(stands_at(pool, 8, 9), 0U);
    pool.give(fresh(pool, 8, 4));
    pool.give(fresh(pool, 16, 5, 100));
    EXPECT_EQ(stands_at(pool, 16, 9), 5U);
    EXPECT_EQ(stands_at(pool, 8, 9), 0U);
}

TEST(DecoderPoolTest, IdleOnesMakeRoomForThoseThatAreUsed) {
    uint64_t held = 0;
    DecoderPool pool({.most = 25, .idle = 25}, [&](uint64_t bytes) { held = bytes; });
    auto first = fresh(pool, 8, 1);
    pool.give(fresh(pool, 16, 2));
    EXPECT_EQ(held, 20U);
    const auto second = fresh(pool, 24, 3);
    EXPECT_EQ(held, 20U) << "the idle one is gone";
    first = {};
    EXPECT_EQ(held, 10U);
    EXPECT_EQ(stands_at(pool, 16, 9), 0U);
}

TEST(DecoderPoolTest, TheMemoryOfThoseInUseIsBoundedAndEachGetsItsTurn) {
    constexpr uint64_t kMost = 35;
    uint64_t highest = 0;  // told by one at a time
    DecoderPool pool({.most = kMost, .idle = kMost},
                     [&](uint64_t bytes) { highest = std::max(highest, bytes); });
    std::atomic<uint64_t> used = 0;
    std::atomic<bool> over = false;
    std::atomic<int> taken = 0;
    std::vector<std::jthread> users;
    for (uint64_t user = 0; user < 8; ++user) {
        users.emplace_back([&, user] {
            const auto memory = 10 + user % 3 * 10;
            for (int i = 0; i < 200; ++i) {
                auto one = pool.take({user, 0, 1}, opener(memory, user));
                over = over || (used += memory) > kMost;
                std::this_thread::yield();
                used -= memory;
                ++taken;
                if (i % 2 == 0) {
                    pool.give(std::move(one));
                }
            }
        });
    }
    users.clear();
    EXPECT_EQ(taken, 1600);
    EXPECT_FALSE(over);
    EXPECT_LE(highest, kMost);
}

TEST(DecoderPoolTest, OneThatNeedsMoreThanThereIsIsUsedAlone) {
    DecoderPool pool({.most = 25, .idle = 25});
    std::atomic<int> used = 0;
    std::atomic<bool> together = false;
    std::array<std::jthread, 4> users;
    for (auto& user : users) {
        user = std::jthread([&] {
            for (int i = 0; i < 200; ++i) {
                auto one = pool.take({8, 0, 1}, opener(100));
                together = together || ++used > 1;
                std::this_thread::yield();
                --used;
                pool.give(std::move(one));
            }
        });
    }
    for (auto& user : users) {
        user.join();
    }
    EXPECT_FALSE(together);
}

TEST(DecoderPoolTest, ADecoderThatCantBeOpenedTakesNobodysTurn) {
    DecoderPool pool({.most = 25, .idle = 25});
    EXPECT_NE(error_of([&] {
                  pool.take({8, 0, 1}, []() -> OpenDecoder {
                      throw std::system_error(EIO, std::generic_category());
                  });
              }),
              0);
    EXPECT_EQ(stands_at(pool, 8, 1), 0U);
}

}  // namespace
}  // namespace imgfs
