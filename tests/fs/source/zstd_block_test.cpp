#include "fs/source/zstd_block.h"

#include <gtest/gtest.h>

#include "fs/source/zstd_frame.h"
#include "tests/support/memory_source.h"
#include "tests/support/packed.h"

namespace imgfs {
namespace {

// Invariant 6 of ZSTD_POINTS.md.
TEST(ZstdBlockTest, SequencesMustAddUpToThePlainSizeAndUseAllBits) {
    const auto plain = packed_by("seq 20000", {});
    const auto packed = packed_by("zstd -3", plain);
    const auto at = next_zstd_frame(MemorySource(packed), 0)->packed_size;
    const auto block = ConstByteSpan(packed).subspan(at);
    const auto header = zstd_block_header(block);
    ASSERT_EQ(header.kind, ZstdBlockHeader::Kind::compressed);
    ZstdTables tables;
    const auto sections = parse_zstd_block(block.subspan(kZstdBlockHeader, header.body()), tables);
    ASSERT_TRUE(sections);
    const auto is_sound = [&](ConstByteSpan stream, size_t size) {
        auto changed = *sections;
        changed.stream = stream;
        std::vector<ZstdSequence> out;
        return decode_sequences(changed, tables, size, out);
    };
    EXPECT_TRUE(is_sound(sections->stream, plain.size()));
    EXPECT_FALSE(is_sound(sections->stream, plain.size() - 1));
    EXPECT_FALSE(is_sound(sections->stream.subspan(1), plain.size()));
    // It is read from its end.
    EXPECT_FALSE(is_sound(joined(Bytes(1), sections->stream), plain.size()));
}

}  // namespace
}  // namespace imgfs
