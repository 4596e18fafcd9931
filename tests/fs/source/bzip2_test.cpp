#include "fs/source/bzip2.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "fs/source/bzip2_pieces.h"
#include "tests/support/codec_contract.h"
#include "tests/support/codec_damage.h"
#include "tests/support/memory_source.h"
#include "tests/support/packed.h"
#include "tests/support/thrown.h"

namespace imgfs {
namespace {

const Codec& kBzip2 = codec_named("bzip2");

TEST(Bzip2Test, EveryWriterKeepsTheContract) {
    const auto plain = mixed(1'200'000);
    for (const auto* command : {"bzip2 -3", "lbzip2 -3", "bzip2 -1", "pbzip2 -c -p2 -b1 -3",
                                "lbzip2 -9 -n 2", "bzip2 -9", "pbzip2 -c -p2"}) {
        SCOPED_TRACE(command);
        expect_keeps_codec_contract(kBzip2, packed_by(command, plain), plain);
    }
}

TEST(Bzip2Test, EveryBlockCanBeReadAlone) {
    const auto plain = noise(kMiB, 1);
    const MemorySource packed(packed_by("bzip2 -1", plain));
    EXPECT_EQ(record_pass(kBzip2, packed).points.size(), 11U);
}

TEST(Bzip2Test, StreamsFollowEachOtherAndMayBeEmpty) {
    const auto empty = packed_by("bzip2", {});
    const auto first = mixed(300'000, 1);
    const auto second = mixed(400'000, 2);
    auto packed = joined(empty, packed_by("bzip2 -1", first));
    packed = joined(joined(packed, empty), joined(empty, packed_by("bzip2 -9", second)));
    expect_keeps_codec_contract(kBzip2, joined(packed, empty), joined(first, second));
    expect_keeps_codec_contract(kBzip2, empty, {});
    EXPECT_EQ(find_codec(MemorySource(packed))->name, "bzip2");
}

// One block of 900,000 bytes can hold 45 MiB of a run; it is never held whole.
TEST(Bzip2Test, RunsOfZerosAreReadInPieces) {
    Bytes plain(50 * kMiB + 777);
    plain[48 * kMiB] = std::byte{1};
    const MemorySource packed(packed_by("bzip2 -9", plain));
    EXPECT_LT(packed.size(), 200U);
    const auto record = record_pass(kBzip2, packed);
    EXPECT_TRUE(record.plain == plain);
    ASSERT_EQ(record.points.size(), 2U);
    Bytes out(plain.size() - record.points[1].plain);
    kBzip2.open(packed, record.points[1])->read(out);
    EXPECT_TRUE(std::ranges::equal(out, ConstByteSpan(plain).last(out.size())));
}

TEST(Bzip2Test, DamageIsFound) {
    const auto plain = mixed(110'000, 3);
    const auto packed = packed_by("bzip2 -1", plain);
    expect_bit_flips_are_found(kBzip2, packed, plain, 150);
    expect_truncation_is_told(kBzip2, packed, 150);
    expect_garbage_behind_is_told(kBzip2, packed, plain);
    const auto small = mixed(2'000, 4);
    expect_bit_flips_are_found(kBzip2, packed_by("bzip2 -1", small), small, 2000);
}

TEST(Bzip2Test, ForgedPointsDoNoHarm) {
    expect_forged_points_do_no_harm(kBzip2, packed_by("bzip2 -1", mixed(200'000, 5)), 150);
}

TEST(Bzip2Test, DamageInTheMiddleNamesTheBlockAndComesAfterWhatIsGood) {
    const auto plain = noise(1'000'000, 6);
    auto packed = packed_by("bzip2 -1", plain);
    const auto points = record_pass(kBzip2, MemorySource(packed)).points;
    const auto block = points[4].packed_bit / 8;
    packed[block + 5000] ^= std::byte{16};
    const MemorySource bad(packed);
    EXPECT_EQ(line_of([&] { record_pass(kBzip2, bad); }),
              "memory: byte " + std::to_string(block) +
                  ": a block that can't be decoded or disagrees with its checksum; the stream is "
                  "damaged there");
    Bytes good(points[4].plain - points[3].plain);
    const auto decoder = kBzip2.open(bad, points[3]);
    decoder->read(good);
    EXPECT_TRUE(
        std::ranges::equal(good, ConstByteSpan(plain).subspan(points[3].plain, good.size())));
    Bytes behind(100'000);
    EXPECT_THROW(decoder->read(behind), std::system_error);
}

TEST(Bzip2Test, MissingBlocksAreAMismatch) {
    const auto plain = noise(400'000, 8);
    const MemorySource packed(packed_by("bzip2 -1", plain));
    const auto points = record_pass(kBzip2, packed).points;
    ASSERT_EQ(points.size(), 5U);
    auto start = points[2];
    EXPECT_EQ(record_pass(kBzip2, packed, {}, {.point = start}).mismatches.size(), 0U);
    start.state = points[1].state;
    EXPECT_EQ(record_pass(kBzip2, packed, {}, {.point = start}).mismatches.size(), 1U);
}

/// Noise of those byte values only that make a block's table of used values contain `mark`: 16 bits
/// for the values 0 to 15, the highest for 0, and so on.
Bytes noise_with_mark(uint64_t mark, size_t size) {
    Bytes values;
    for (unsigned value = 0; value < 48; ++value) {
        if (((mark >> (47 - value)) & 1) != 0) {
            values.push_back(static_cast<std::byte>(value));
        }
    }
    auto bytes = noise(size, mark);
    size_t last = 0;  // no byte twice in a row: the length of a run would be a value too
    for (auto& byte : bytes) {
        last = (last + 1 + std::to_integer<size_t>(byte) % (values.size() - 1)) % values.size();
        byte = values[last];
    }
    return bytes;
}

TEST(Bzip2Test, ABlockWithAMarkInItIsPutTogetherAgain) {
    for (const auto mark : {kBzip2Block, kBzip2End}) {
        const auto plain = joined(noise(150'000, 9), noise_with_mark(mark, 350'000));
        const auto packed = packed_by("bzip2 -1", plain);
        const MemorySource source(packed);
        size_t marks = 0;
        Bzip2Pieces pieces(source, 0, kMiB);
        for (auto piece = pieces.next(); piece; piece = pieces.next()) {
            marks += static_cast<size_t>(piece->start_bit > 0);
        }
        const auto points = record_pass(kBzip2, source).points.size();
        EXPECT_GE(marks, points + 1 + 3) << "of blocks, of the end, and by chance";
        expect_keeps_codec_contract(kBzip2, packed, plain);
    }
}

}  // namespace
}  // namespace imgfs
