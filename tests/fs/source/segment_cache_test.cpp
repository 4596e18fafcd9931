#include "fs/source/segment_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <thread>

#include "tests/support/thrown.h"

namespace imgfs {
namespace {

constexpr uint64_t kSegment = 64 * kKiB;
constexpr uint64_t kCapacity = 16 * kSegment;

/// Reads all of a segment, or only its first byte; true if any of that had to be decoded.
bool read(SegmentCache& cache, uint64_t name, uint64_t count) {
    bool decoded = false;
    cache.get(name, kSegment, {0, count})->first(count, kSegment, [&](uint64_t, ByteSpan out) {
        std::ranges::fill(out, static_cast<std::byte>(name));
        decoded = true;
        return false;
    });
    return decoded;
}

TEST(SegmentCacheTest, WhatWasUsedLongestAgoGoesFirst) {
    SegmentCache cache(kCapacity);
    for (uint64_t name = 0; name < 16; ++name) {
        EXPECT_TRUE(read(cache, name, 1));
    }
    EXPECT_FALSE(read(cache, 0, 1));
    EXPECT_TRUE(read(cache, 16, 1));
    EXPECT_FALSE(read(cache, 0, 1));
    EXPECT_TRUE(read(cache, 1, 1));
}

TEST(SegmentCacheTest, AReaderThatGoesForwardPushesNobodyElsesSegmentsOut) {
    SegmentCache cache(kCapacity);
    for (uint64_t name = 0; name < 8; ++name) {
        read(cache, name, 1);
    }
    for (uint64_t name = 100; name < 200; ++name) {
        EXPECT_TRUE(read(cache, name, kSegment));
    }
    for (uint64_t name = 0; name < 8; ++name) {
        EXPECT_FALSE(read(cache, name, 1)) << name;
    }
}

TEST(SegmentCacheTest, WhatWasGivenOutStaysForThoseWhoComeLate) {
    SegmentCache cache(kCapacity);
    read(cache, 0, kSegment);
    read(cache, 1, kSegment);
    EXPECT_FALSE(read(cache, 0, 1)) << "two segments are the part that they may have";
    read(cache, 2, kSegment);
    EXPECT_TRUE(read(cache, 1, 1));
}

TEST(SegmentCacheTest, WhatIsReadAgainIsKeptAsBefore) {
    SegmentCache cache(kCapacity);
    read(cache, 0, kSegment);
    read(cache, 0, kSegment);
    for (uint64_t name = 100; name < 200; ++name) {
        read(cache, name, kSegment);
    }
    EXPECT_FALSE(read(cache, 0, 1));
}

TEST(SegmentCacheTest, TheSamePieceManyTimesIsNotTheWholeSegment) {
    constexpr uint64_t kLarge = 16 * kSegment;
    SegmentCache cache(4 * kLarge);
    const auto read_first_piece = [&] {
        bool decoded = false;
        cache.get(0, kLarge, {0, kSegment})->first(kSegment, kSegment, [&](uint64_t, ByteSpan) {
            decoded = true;
            return false;
        });
        return decoded;
    };
    for (int i = 0; i < 40; ++i) {
        EXPECT_EQ(read_first_piece(), i == 0);
    }
    for (uint64_t name = 100; name < 200; ++name) {
        read(cache, name, kSegment);
    }
    EXPECT_FALSE(read_first_piece());
}

TEST(SegmentCacheTest, TheLastThatWasGivenOutStaysHoweverLargeItIs) {
    SegmentCache cache(kSegment);
    EXPECT_TRUE(read(cache, 0, kSegment));
    EXPECT_FALSE(read(cache, 0, 1));
}

/// All of a segment is held by who has it; its memory stays while he does.
SegmentCache::Segment hold(SegmentCache& cache, uint64_t name, uint64_t size) {
    return cache.get(name, size, {0, 0});
}

TEST(SegmentCacheTest, ItsCapacityBoundsItsMemoryAndWhatIsKeptForTheNext) {
    constexpr uint64_t kBound = 32 * kMiB;
    SegmentCache cache(kBound);
    for (uint64_t name = 0; name < 200; ++name) {
        // Among them, by their turns, each that is larger than the ones before.
        const auto segment = hold(cache, name, (1 + name * 7 % 16) * 512 * kKiB);
        EXPECT_LE(cache.held(), kBound);
    }
}

TEST(SegmentCacheTest, SegmentsThatReadersHoldStillCountAlthoughTheyAreDropped) {
    SegmentCache cache(32 * kMiB);
    const auto held = hold(cache, 0, 24 * kMiB);
    hold(cache, 1, 16 * kMiB);
    EXPECT_EQ(cache.held(), 40 * kMiB) << "one can always be made";
    hold(cache, 2, 8 * kMiB);
    EXPECT_LE(cache.held(), 32 * kMiB);
}

TEST(SegmentCacheTest, ALargeSegmentsMemoryIsNotGivenToASmallOne) {
    SegmentCache cache(34 * kMiB);
    hold(cache, 0, 32 * kMiB);
    hold(cache, 1, 4 * kMiB);
    EXPECT_EQ(cache.held(), 4 * kMiB);
}

TEST(SegmentCacheTest, WhatIsLentIsGivenUpAtOnceButForTheLeast) {
    SegmentCache cache(32 * kMiB, 8 * kMiB);
    for (uint64_t name = 0; name < 8; ++name) {
        hold(cache, name, 4 * kMiB);
    }
    EXPECT_EQ(cache.held(), 32 * kMiB);
    cache.lend(SegmentCache::Borrower::decoders, 8 * kMiB);
    cache.lend(SegmentCache::Borrower::pass, 4 * kMiB);
    EXPECT_EQ(cache.held(), 20 * kMiB);
    cache.lend(SegmentCache::Borrower::decoders, 500 * kMiB);
    EXPECT_EQ(cache.held(), 8 * kMiB);
    cache.lend(SegmentCache::Borrower::decoders, 0);
    for (uint64_t name = 10; name < 20; ++name) {
        hold(cache, name, 4 * kMiB);
    }
    EXPECT_EQ(cache.held(), 28 * kMiB);
}

TEST(SegmentCacheTest, WhatIsLentStaysSoUntilLessThanHalfOfItIsNeeded) {
    SegmentCache cache(32 * kMiB);
    for (uint64_t name = 0; name < 8; ++name) {
        hold(cache, name, 4 * kMiB);
    }
    cache.lend(SegmentCache::Borrower::decoders, 8 * kMiB);
    cache.lend(SegmentCache::Borrower::decoders, 5 * kMiB);
    hold(cache, 8, 4 * kMiB);
    EXPECT_EQ(cache.held(), 24 * kMiB);
    cache.lend(SegmentCache::Borrower::decoders, 4 * kMiB);
    hold(cache, 9, 4 * kMiB);
    EXPECT_EQ(cache.held(), 28 * kMiB);
}

TEST(SegmentCacheTest, MoreThanASegmentHoldsIsRefused) {
    SegmentCache cache(kCapacity);
    const auto segment = hold(cache, 0, kSegment);
    EXPECT_EQ(error_of([&] {
                  segment->first(kSegment + 1, kSegment, [](uint64_t, ByteSpan) { return false; });
              }),
              EINVAL);
}

TEST(SegmentCacheTest, WhoDecodesASegmentNeverWaitsInItForAnother) {
    SegmentCache cache(kCapacity);
    const auto segment = hold(cache, 0, kSegment * 4);
    std::array<std::atomic<int>, 8> spells{};  // in which each decoded without a break
    std::atomic<size_t> last = spells.size();
    std::array<std::jthread, 8> readers;
    for (size_t number = 0; number < readers.size(); ++number) {
        readers[number] = std::jthread([&, number] {
            segment->first(4 * kSegment, 4 * kKiB, [&](uint64_t, ByteSpan) {
                spells[number] += last.exchange(number) == number ? 0 : 1;
                std::this_thread::yield();
                return false;
            });
        });
    }
    for (auto& reader : readers) {
        reader.join();
    }
    EXPECT_TRUE(std::ranges::all_of(spells, [](const auto& count) { return count <= 1; }));
}

TEST(SegmentCacheTest, WhoDecodedStopsBeforeTheNextDecodes) {
    SegmentCache cache(kCapacity);
    const auto segment = hold(cache, 0, kSegment * 16);
    std::atomic<size_t> at_work = 0;
    std::atomic<bool> together = false;
    std::array<std::jthread, 8> readers;
    for (size_t number = 1; number <= readers.size(); ++number) {
        readers[number - 1] = std::jthread([&, number] {
            const auto extend = [&](uint64_t, ByteSpan) {
                const auto other = at_work.exchange(number);
                together = together || (other != 0 && other != number);
                return false;
            };
            segment->first(number * 2 * kSegment, 2 * kSegment, extend, [&] {
                std::this_thread::yield();
                at_work = 0;
            });
        });
    }
    for (auto& reader : readers) {
        reader.join();
    }
    EXPECT_FALSE(together);
}

TEST(SegmentCacheTest, WhoSaysSoDecodesToTheEndAndDamageThereIsForWhoeverComesThere) {
    SegmentCache cache(kCapacity);
    const auto segment = hold(cache, 0, 4 * kSegment);
    const auto up_to = [&](uint64_t end) {
        return [end](uint64_t from, ByteSpan /*out*/) {
            if (from >= end) {
                fail(EUCLEAN, "damage");
            }
            return true;
        };
    };
    segment->first(kSegment, kSegment, up_to(3 * kSegment));
    segment->first(3 * kSegment, kSegment, up_to(0));  // is there
    EXPECT_EQ(error_of([&] { segment->first(4 * kSegment, kSegment, up_to(0)); }), EUCLEAN);
    segment->first(4 * kSegment, kSegment, up_to(4 * kSegment));
}

TEST(SegmentCacheTest, ReadersOfOneSegmentDecodeItOnce) {
    SegmentCache cache(kCapacity);
    std::atomic<uint64_t> decoded = 0;
    std::array<std::jthread, 8> readers;
    for (auto& reader : readers) {
        reader = std::jthread([&] {
            const auto segment = cache.get(7, kSegment, {0, kSegment});
            segment->first(kSegment, kKiB, [&](uint64_t, ByteSpan out) {
                decoded += out.size();
                return false;
            });
        });
    }
    for (auto& reader : readers) {
        reader.join();
    }
    EXPECT_EQ(decoded, kSegment);
}

}  // namespace
}  // namespace imgfs
