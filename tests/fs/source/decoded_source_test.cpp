#include "fs/source/decoded_source.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/fs/source/index_fixture.h"

namespace imgfs {
namespace {

// The range before the second frame ends in it, so it can't be decoded at once.
TEST(DecodedSourceTest, BehindALargeWindowAnotherFrameIsRead) {
    const auto first = mixed(9 * kMiB + 1000, 1);
    const auto second = mixed(3 * kMiB, 2);
    const auto plain = joined(first, second);
    const auto source = decoded(memory(joined(packed_by("zstd -3 --long=27 --single-thread", first),
                                              packed_by("zstd -3", second))),
                                {.dense = true});
    source->settle();
    Bytes out(100'000);
    for (auto at = first.size() - out.size(); at < first.size() + out.size(); at += 30'000) {
        source->read(at, out);
        EXPECT_TRUE(std::ranges::equal(out, ConstByteSpan(plain).subspan(at, out.size()))) << at;
    }
    EXPECT_EQ(read_all(*source), plain);
}

}  // namespace
}  // namespace imgfs
