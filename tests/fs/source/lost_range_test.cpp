// What can't be read behind damage, and nothing else.
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>

#include "tests/fs/source/index_fixture.h"
#include "tests/support/thrown.h"

namespace imgfs {
namespace {

TEST(LostRangeTest, OfLz4IsTheBlockThatIsDamaged) {
    constexpr uint64_t kBlock = 256 * kKiB;  // of this stream
    const auto plain = noise(4 * kBlock, 6);
    auto packed = packed_by("lz4 -1 -B5 -BX --content-size", plain);
    packed[packed.size() * 3 / 8] ^= std::byte{4};  // in the middle of the second
    int damages = 0;
    const auto source =
        decoded(memory(std::move(packed)), {.on_damage = [&](const std::string&) { ++damages; }});
    EXPECT_EQ(source->size(), plain.size());
    EXPECT_EQ(damages, 1);
    Bytes out(kHashedPiece / 2);
    for (uint64_t at = 0; at < plain.size(); at += out.size()) {
        const bool lost = at / kBlock == 1;
        EXPECT_EQ(error_of([&] { source->read(at, out); }), lost ? EUCLEAN : 0) << at;
        EXPECT_TRUE(lost || std::ranges::equal(out, ConstByteSpan(plain).subspan(at, out.size())));
    }
}

}  // namespace
}  // namespace imgfs
