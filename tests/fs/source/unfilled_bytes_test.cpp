#include "fs/source/unfilled_bytes.h"

#include <gtest/gtest.h>

namespace imgfs {
namespace {

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
