#include "fs/source/borrowed_source.h"

#include <gtest/gtest.h>

#include "tests/support/memory_source.h"
#include "tests/support/source_contract.h"

namespace imgfs {
namespace {

TEST(BorrowedSourceTest, IsAsWhatItBorrows) {
    const auto content = noise(100'000, 1);
    const MemorySource lent(content);
    const BorrowedSource one(lent);
    const BorrowedSource other(lent);
    expect_keeps_source_contract(one, content);
    expect_keeps_source_contract(other, content);
    EXPECT_EQ(one.place(77), lent.place(77));
}

}  // namespace
}  // namespace imgfs
