#include "fs/source/unfilled_bytes.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace imgfs {
namespace {

TEST(UnfilledBytesTest, OfAnySizeAllCanBeFilled) {
    for (const uint64_t size : {uint64_t{0}, uint64_t{1}, 2 * kMiB - 1, 2 * kMiB, 5 * kMiB + 7}) {
        const UnfilledBytes memory(size);
        ASSERT_EQ(memory.size(), size);
        std::ranges::fill(memory.first(size), std::byte{7});
        EXPECT_EQ(std::ranges::count(memory.first(size), std::byte{7}),
                  static_cast<ptrdiff_t>(size));
    }
}

TEST(SpareBytesTest, WhatIsLargeEnoughIsUsedAgain) {
    SpareBytes spares;
    auto memory = spares.take(1000);
    const auto* const where = memory.first(1).data();
    spares.give_back(std::move(memory));
    memory = spares.take(900);
    EXPECT_EQ(memory.first(1).data(), where);
    EXPECT_EQ(memory.size(), 1000U);
    spares.give_back(std::move(memory));
    EXPECT_EQ(spares.take(700).size(), 700U) << "the rest would be wasted";
    spares.give_back(UnfilledBytes(1000));
    EXPECT_EQ(spares.take(1001).size(), 1001U);
}

}  // namespace
}  // namespace imgfs
