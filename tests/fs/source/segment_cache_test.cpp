#include "fs/source/segment_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <thread>

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

TEST(SegmentCacheTest, ReadersOfOneSegmentDecodeItOnce) {
    SegmentCache cache(kCapacity);
    std::atomic<uint64_t> decoded = 0;
    std::array<std::jthread, 8> readers;
    for (auto& reader : readers) {
        reader = std::jthread([&] {
            const auto segment = cache.get(7, kSegment, {0, kSegment});
            segment->first(kSegment, kKiB, [&](uint64_t, ByteSpan out) { decoded += out.size(); });
        });
    }
    for (auto& reader : readers) {
        reader.join();
    }
    EXPECT_EQ(decoded, kSegment);
}

}  // namespace
}  // namespace imgfs
