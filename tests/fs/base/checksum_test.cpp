#include "fs/base/checksum.h"

#include <gtest/gtest.h>

namespace imgfs {
namespace {

// Values of `printf abc | gzip -c | tail -c8`, `xxhsum -H1` and `xxhsum -H2`.
TEST(ChecksumTest, KnownValues) {
    EXPECT_EQ(crc32(bytes_of("abc")), 0x352441c2u);
    EXPECT_EQ(crc32(bytes_of("c"), crc32(bytes_of("ab"))), 0x352441c2u);
    EXPECT_EQ(xxh64(bytes_of("abc")), 0x44bc2cf5ad770999u);
    EXPECT_EQ(xxh3_64(bytes_of("abc")), 0x78af5f94892f3950u);
}

TEST(ChecksumTest, RunningHashesEqualWholeOnes) {
    Xxh64 running64;
    Xxh128 running128;
    for (const auto* part : {"a", "", "bc"}) {
        running64.update(bytes_of(part));
        running128.update(bytes_of(part));
    }
    EXPECT_EQ(running64.digest(), xxh64(bytes_of("abc")));
    EXPECT_EQ(running128.digest(), xxh3_128(bytes_of("abc")));
    running128.reset();
    EXPECT_EQ(running128.digest(), xxh3_128({}));
}

// At every length: what doesn't fill a stripe is part of the state.
TEST(ChecksumTest, ASavedHashGoesOnElsewhere) {
    const std::string text =
        "a text that is longer than two stripes of thirty-two bytes, so that all is in use";
    for (size_t cut = 0; cut <= text.size(); ++cut) {
        Xxh64 first;
        first.update(bytes_of(text).first(cut));
        Xxh64 second;
        second.update(bytes_of("forgotten"));
        second.restore(first.save());
        EXPECT_EQ(second.save(), first.save());
        second.update(bytes_of(text).subspan(cut));
        EXPECT_EQ(second.digest(), xxh64(bytes_of(text)));
    }
}

TEST(ChecksumTest, HexIsInByteOrder) {
    EXPECT_EQ(hex(bytes_of("\x01\xfe")), "01fe");
}

}  // namespace
}  // namespace imgfs
