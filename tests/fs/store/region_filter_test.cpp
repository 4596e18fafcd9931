#include "fs/store/region_filter.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace imgfs {
namespace {

TEST(RegionFilterTest, NeverDeniesWhatWasAdded) {
    std::mt19937_64 random(1);
    for (const uint64_t blocks : {1, 63, 1000, 300'000, 500'000'000}) {
        for (const uint64_t entries : {0, 1, 50, 20'000}) {
            RegionFilter filter(blocks, entries);
            for (uint64_t i = 0; i < entries; ++i) {
                const auto first = random() % blocks;
                const auto end = first + 1 + random() % std::min<uint64_t>(blocks - first, 40);
                filter.add(first, end);
                ASSERT_TRUE(filter.may_have(first, first + 1));
                ASSERT_TRUE(filter.may_have(end - 1, end));
                ASSERT_TRUE(filter.may_have(0, first + 1));
                ASSERT_TRUE(filter.may_have(end - 1, blocks));
            }
        }
    }
}

TEST(RegionFilterTest, DeniesNearlyAllOfTheRest) {
    constexpr uint64_t kBlocks = 262'144;
    std::mt19937_64 random(2);
    RegionFilter filter(kBlocks, 500);
    for (int i = 0; i < 500; ++i) {
        const auto block = random() % kBlocks;
        filter.add(block, block + 1);
    }
    int in_vain = 0;
    for (int i = 0; i < 10'000; ++i) {
        const auto block = random() % kBlocks;
        in_vain += filter.may_have(block, block + 1) ? 1 : 0;
    }
    EXPECT_LT(in_vain, 700);
    EXPECT_TRUE(filter.may_have(0, kBlocks));
}

TEST(RegionFilterTest, AnEmptyOneHasNothing) {
    EXPECT_FALSE(RegionFilter().may_have(0, 1'000'000));
    EXPECT_FALSE(RegionFilter(1'000'000, 0).may_have(0, 1'000'000));
}

}  // namespace
}  // namespace imgfs
