#include "fs/image/promised_source.h"

#include <gtest/gtest.h>

#include "fs/source/cut_short.h"
#include "tests/support/memory_source.h"
#include "tests/support/source_contract.h"
#include "tests/support/thrown.h"

namespace imgfs {
namespace {

PromisedSource promised(size_t there, uint64_t size, TooShort meaning = TooShort::is_damaged) {
    return {std::make_unique<MemorySource>(noise(there, 1)), size, meaning};
}

TEST(PromisedSourceTest, IsTheStreamAsLongAsItIsPromised) {
    const auto all = noise(10'000, 1);
    const auto whole = promised(10'000, 10'000);
    expect_keeps_source_contract(whole, all);
    EXPECT_EQ(whole.excess(), 0U);
    const auto longer = promised(10'000, 9'000);
    expect_keeps_source_contract(longer, ConstByteSpan(all).first(9'000));
    EXPECT_EQ(longer.excess(), 1'000U);
}

TEST(PromisedSourceTest, WhatIsMissingOfItIsDamage) {
    const auto shorter = promised(10'000, 11'000);
    EXPECT_EQ(shorter.size(), 11'000U);
    EXPECT_EQ(shorter.excess(), 0U);
    Bytes out(100);
    EXPECT_EQ(error_of([&] { shorter.read(9'900, out); }), 0);
    for (const uint64_t offset : {9'901, 10'000, 10'900}) {
        EXPECT_EQ(error_of([&] { shorter.read(offset, out); }), EUCLEAN) << offset;
    }
    const auto line = line_of([&] { shorter.read(10'000, out); });
    EXPECT_EQ(line.find("memory: byte 10000: the stream ends there, 1,000 bytes before"), 0U)
        << line;
    EXPECT_THROW(promised(10'000, 11'000, TooShort::is_cut).read(10'000, out), CutShort);
}

}  // namespace
}  // namespace imgfs
