#include "fs/source/lz4.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "fs/source/lz4_block.h"
#include "tests/support/codec_contract.h"
#include "tests/support/codec_damage.h"
#include "tests/support/memory_source.h"
#include "tests/support/packed.h"
#include "tests/support/thrown.h"

namespace imgfs {
namespace {

const Codec& kLz4 = codec_named("lz4");

TEST(Lz4Test, EveryWriterKeepsTheContract) {
    const auto plain = mixed(1'500'000);
    for (const auto* command :
         {"lz4 -1 -B4", "lz4 -3 -B5 -BX", "lz4 -1 -B6 --no-frame-crc", "lz4 -4 -B6 --content-size",
          "lz4 -9 -B5", "lz4 -12 -BX -B4", "lz4 --fast=5 -B4"}) {
        SCOPED_TRACE(command);
        expect_keeps_codec_contract(kLz4, packed_by(command, plain), plain, {.dense = true});
    }
}

TEST(Lz4Test, LargeBlocksKeepTheContract) {
    const auto plain = mixed(8 * kMiB + 4321);
    expect_keeps_codec_contract(kLz4, packed_by("lz4 -1", plain), plain);
    expect_keeps_codec_contract(kLz4, packed_by("lz4 -l", plain), plain);
}

TEST(Lz4Test, LinkedBlocksKeepTheContract) {
    const auto plain = mixed(2 * kMiB + 100'017);
    for (const auto* command : {"lz4 -1 -BD", "lz4 -1 -BD -B4", "lz4 -9 -BD -BX -B5 --content-size",
                                "lz4 -BD -B4 -BX --no-frame-crc"}) {
        SCOPED_TRACE(command);
        expect_keeps_codec_contract(kLz4, packed_by(command, plain), plain, {.dense = true});
    }
    const MemorySource packed(packed_by("lz4 -BD -B4", plain));
    const auto points = record_pass(kLz4, packed, {.dense = true}).points;
    ASSERT_EQ(points.size(), 2U);
    EXPECT_EQ(points[1].plain, 2 * kMiB);
    EXPECT_EQ(lz4_place(points[1])->history.size(), kLz4History);
    EXPECT_EQ(record_pass(kLz4, packed).points.size(), 1U);
}

TEST(Lz4Test, FramesOfAllKindsFollowEachOther) {
    const auto skippable = to_bytes(std::string_view("\x5e\x2a\x4d\x18\x05\0\0\0hello", 13));
    Bytes plain;
    Bytes packed;
    size_t seed = 10;
    for (const auto* command :
         {"lz4 -1", "lz4 -l", "lz4 -BD -B4", "lz4 -l", "lz4 -l", "lz4 -9 -B5"}) {
        const auto piece = mixed(300'000 + seed, seed);
        ++seed;
        plain = joined(plain, piece);
        packed = joined(joined(packed, packed_by(command, piece)), skippable);
        packed = joined(packed, packed_by("lz4 -1", {}));
    }
    expect_keeps_codec_contract(kLz4, packed, plain);
    expect_keeps_codec_contract(kLz4, packed_by("lz4 -1", {}), {});
}

TEST(Lz4Test, DamageIsFound) {
    const auto plain = mixed(150'000, 3);
    for (const auto* command : {"lz4 -1 -B4 -BX", "lz4 -9 -B4 --content-size", "lz4 -BD -B4"}) {
        SCOPED_TRACE(command);
        const auto packed = packed_by(command, plain);
        expect_bit_flips_are_found(kLz4, packed, plain, 120);
        expect_truncation_is_told(kLz4, packed, 100);
        expect_garbage_behind_is_told(kLz4, packed, plain);
    }
    expect_bit_flips_do_no_harm(kLz4, packed_by("lz4 -1 -B4 --no-frame-crc", plain), 100);
    expect_bit_flips_do_no_harm(kLz4, packed_by("lz4 -l", plain), 100);
    const auto small = mixed(3000, 4);
    expect_bit_flips_are_found(kLz4, packed_by("lz4 -1 --content-size", small), small, 1000);
}

TEST(Lz4Test, ForgedPointsDoNoHarm) {
    const auto plain = mixed(4 * kMiB + 300'000, 5);
    for (const auto* command : {"lz4 -1 -B4", "lz4 -9 -B6"}) {
        SCOPED_TRACE(command);
        const auto packed = packed_by(command, plain);
        expect_forged_points_do_no_harm(kLz4, packed, 30);
    }
}

/// Flips a bit inside the block at `offset`, behind its size.
MemorySource damaged(Bytes packed, uint64_t offset) {
    packed[offset + 4000] ^= std::byte{4};
    return MemorySource(std::move(packed));
}

TEST(Lz4Test, ABlockWhoseSizeIsKnownIsLostAlone) {
    const auto plain = mixed(1'000'000, 6);
    const auto packed = packed_by("lz4 -1 -B5 -BX --content-size", plain);
    const Lz4Frame frame{.flags = 0x7c, .size_code = 0x50};
    std::vector<uint64_t> offsets;
    const MemorySource source(packed);
    Lz4Reader reader(source, 0, std::nullopt, kMiB);
    for (auto event = reader.next(); event != Lz4Reader::Event::end; event = reader.next()) {
        if (event == Lz4Reader::Event::block) {
            offsets.push_back(reader.take_block().offset);
        }
    }
    ASSERT_EQ(reader.frame().flags, frame.flags);
    ASSERT_EQ(reader.frame().block_size(), 256 * kKiB);
    ASSERT_EQ(offsets.size(), 4U);
    for (size_t i = 0; i < offsets.size(); ++i) {
        const auto record = record_pass(kLz4, damaged(packed, offsets[i]));
        const auto start = i * 256 * kKiB;
        const auto end = std::min<uint64_t>(start + 256 * kKiB, plain.size());
        EXPECT_EQ(record.lost, end - start);
        auto expected = plain;
        std::fill(expected.begin() + ptrdiff_t(start), expected.begin() + ptrdiff_t(end),
                  std::byte{});
        EXPECT_TRUE(record.plain == expected);
        EXPECT_EQ(record.mismatches, std::vector<std::string>());
        ASSERT_EQ(record.notes.size(), 1U);
        EXPECT_TRUE(record.notes[0].starts_with("memory: byte " + std::to_string(offsets[i])));
    }
}

TEST(Lz4Test, ALinkedBlockThatIsDamagedEndsThePass) {
    const auto plain = mixed(1'000'000, 7);
    const auto packed = packed_by("lz4 -1 -B5 -BX -BD", plain);
    EXPECT_NE(
        line_of([&] { record_pass(kLz4, damaged(packed, 20)); }).find("memory: byte 7: a block"),
        std::string::npos);
}

TEST(Lz4Test, AForgedStateIsRefused) {
    SeekPoint point;
    point.state = noise(30, 1);
    EXPECT_THROW(lz4_place(point), std::system_error);
    point.state = Bytes(100);
    EXPECT_THROW(lz4_place(point), std::system_error);
}

TEST(Lz4Test, ADictionaryIsRefusedWithTheCommand) {
    auto packed = to_bytes(std::string_view("\x04\x22\x4d\x18\x61\x40\1\2\3\4\0\0\0\0\0", 15));
    packed[10] = static_cast<std::byte>(xxh32(ConstByteSpan(packed).subspan(4, 6)) >> 8);
    EXPECT_EQ(error_of([&] { record_pass(kLz4, MemorySource(packed)); }), ENOTSUP);
    packed[10] ^= std::byte{1};
    EXPECT_EQ(error_of([&] { record_pass(kLz4, MemorySource(packed)); }), EUCLEAN);
}

}  // namespace
}  // namespace imgfs
