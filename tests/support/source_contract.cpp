#include "tests/support/source_contract.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <random>
#include <system_error>

#include "tests/support/memory_source.h"

namespace imgfs {
namespace {

/// Many times faster than std::ranges::equal where nothing is optimised.
bool same_bytes(ConstByteSpan a, ConstByteSpan b) {
    return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

}  // namespace

void expect_keeps_source_contract(const Source& source, ConstByteSpan expected) {
    ASSERT_EQ(source.size(), expected.size());
    ASSERT_TRUE(same_bytes(read_all(source), expected));

    std::mt19937_64 random(1);
    for (int i = 0; i < 1000; ++i) {
        const auto offset = random() % (expected.size() + 1);
        const auto most =
            std::min<uint64_t>(expected.size() - offset, i % 10 == 0 ? 1 << 20 : 9000);
        Bytes out(random() % (most + 1));
        source.read(offset, out);
        ASSERT_TRUE(same_bytes(out, expected.subspan(offset, out.size())))
            << out.size() << " bytes at " << offset;
    }

    Bytes none;
    EXPECT_NO_THROW(source.read(expected.size(), none));
    Bytes one(1);
    EXPECT_THROW(source.read(expected.size(), one), std::system_error);
    EXPECT_THROW(source.read(std::numeric_limits<uint64_t>::max(), one), std::system_error);
    EXPECT_THROW(source.read(expected.size() + 1, none), std::system_error);
    Bytes across(2);
    if (!expected.empty()) {
        EXPECT_THROW(source.read(expected.size() - 1, across), std::system_error);
    }
    EXPECT_FALSE(source.place(0).empty());
}

}  // namespace imgfs
