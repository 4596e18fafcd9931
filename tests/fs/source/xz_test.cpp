#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>

#include "fs/base/error.h"
#include "fs/source/xz.h"
#include "tests/support/codec_contract.h"
#include "tests/support/codec_damage.h"
#include "tests/support/faulty_source.h"
#include "tests/support/large_unit.h"
#include "tests/support/memory_source.h"
#include "tests/support/packed.h"
#include "tests/support/thrown.h"

namespace imgfs {
namespace {

const Codec& xz() {
    return codec_named("xz");
}

/// More than is decoded before a byte is given out, and quickly packed.
Bytes large_plain() {
    auto plain = joined(mixed(kMiB), Bytes(33 * kMiB));
    return joined(std::move(plain), mixed(kMiB, 8));
}

PassRecord pass_over(Bytes packed) {
    return record_pass(xz(), MemorySource(std::move(packed)));
}

TEST(XzTest, EveryWayOfPackingKeepsTheContract) {
    const auto plain = mixed(kMiB + 321);
    for (const auto* command :
         {"xz -0 -T1", "xz -3 -T2", "xz -6 -T0", "xz -T2 --block-size=400KiB",
          "xz -T1 --block-size=400KiB", "xz -0 --block-size=130KiB", "xz -0 --block-size=10KiB",
          "xz --check=none --block-size=400KiB", "xz --check=crc32 --block-size=400KiB",
          "xz --check=sha256 -0 --block-size=200000", "xz -0 --check=none", "xz --x86 --lzma2",
          "xz --delta=dist=4 --lzma2=preset=0,lc=0,pb=0"}) {
        SCOPED_TRACE(command);
        expect_keeps_codec_contract(xz(), packed_by(command, plain), plain);
    }
}

TEST(XzTest, SeveralStreamsWithPaddingBetweenThemAreOne) {
    const auto first = mixed(500'000);
    const auto second = mixed(700'000, 8);
    const auto plain = joined(joined(first, second), first);
    const auto one = packed_by("xz -0 --check=sha256 --block-size=128KiB", first);
    const auto two = joined(Bytes(8), packed_by("xz -0 --check=crc32", second));
    expect_keeps_codec_contract(xz(), joined(joined(joined(one, two), one), Bytes(400)), plain);
}

TEST(XzTest, StreamsWithoutBytesAreNothing) {
    const auto empty = packed_by("xz", {});
    const auto plain = mixed(100'000);
    const auto full = packed_by("xz", plain);
    expect_keeps_codec_contract(xz(), empty, {});
    expect_keeps_codec_contract(xz(), joined(joined(empty, empty), full), plain);
    expect_keeps_codec_contract(xz(), joined(joined(full, empty), full), joined(plain, plain));
}

TEST(XzTest, ChecksSpareThePassTheDecoding) {
    const auto plain = mixed(3 * kMiB);
    for (const auto* checked : {"xz -0 --block-size=1MiB", "xz -0 --check=crc32"}) {
        EXPECT_EQ(pass_over(packed_by(checked, plain)).skipped, plain.size()) << checked;
    }
    const auto none = pass_over(packed_by("xz -0 --check=none --block-size=1MiB", plain));
    EXPECT_EQ(none.skipped, 0U);
    EXPECT_EQ(none.points.size(), 3U);
}

TEST(XzTest, PointsStandApartThoughBlocksAreSmall) {
    const auto plain = mixed(kMiB);
    const auto record = pass_over(packed_by("xz -0 --block-size=10KiB", plain));
    EXPECT_EQ(record.points.size(), 15U);
}

TEST(XzTest, ALargeBlockIsDecodedByThePassWithAWarning) {
    const auto plain = large_plain();
    for (const auto* command : {"xz -0 -T1", "xz -0 -T1 --check=none"}) {
        const auto packed = packed_by(command, plain);
        expect_one_large_unit(xz(), packed, plain);
        const auto record = pass_over(packed);
        EXPECT_EQ(record.points.size(), 1U);
        ASSERT_EQ(record.notes.size(), 1U);
        EXPECT_NE(record.notes[0].find("quick reads need it packed anew (xz -dc IMAGE | zstd"),
                  std::string::npos)
            << record.notes[0];
    }
    const auto after = mixed(100'000, 3);
    const auto both =
        joined(packed_by("xz -0 -T1", plain), packed_by("xz -0 --block-size=50000", after));
    expect_one_large_unit(xz(), both, joined(plain, after));
    EXPECT_EQ(pass_over(both).points.size(), 2U);
}

TEST(XzTest, WithoutAUsableIndexAllIsDecoded) {
    const auto plain = mixed(kMiB);
    auto packed = packed_by("xz -0 --block-size=128KiB", plain);
    packed[packed.size() - 20] ^= std::byte{1};  // in the index
    expect_keeps_codec_contract(xz(), packed, plain);
    const auto record = pass_over(packed);
    EXPECT_EQ(record.skipped, 0U);
    EXPECT_EQ(record.points.size(), 8U);
    ASSERT_EQ(record.notes.size(), 1U);
    EXPECT_NE(record.notes[0].find("index at the end of the xz stream is damaged or missing"),
              std::string::npos);
}

TEST(XzTest, ALargeBlockWithoutAUsableIndexIsDecodedInOrder) {
    const auto plain = large_plain();
    auto packed = packed_by("xz -0 -T1", plain);
    packed[packed.size() - 20] ^= std::byte{1};
    expect_one_large_unit(xz(), packed, plain);
    EXPECT_EQ(pass_over(packed).notes.size(), 2U);
}

TEST(XzTest, ADamagedBlockIsLostAndTheOthersAreNot) {
    const auto plain = mixed(kMiB);
    auto packed = packed_by("xz -0 --check=crc32 --block-size=128KiB", plain);
    const auto points = pass_over(packed).points;
    ASSERT_EQ(points.size(), 8U);
    packed[points[3].packed_bit / 8 + 5000] ^= std::byte{1};
    const MemorySource source(packed);
    EXPECT_EQ(record_pass(xz(), source).skipped, plain.size());
    for (const auto& point : points) {
        Bytes out(128 * kKiB);
        const auto line = line_of([&] { xz().open(source, point)->read(out); });
        if (point.plain == points[3].plain) {
            EXPECT_NE(line.find("memory: byte "), std::string::npos) << line;
        } else {
            EXPECT_EQ(line, "");
            EXPECT_TRUE(
                std::ranges::equal(out, ConstByteSpan(plain).subspan(point.plain, out.size())));
        }
    }
    const std::array<std::byte, 1> before{};
    Bytes none(1);
    EXPECT_EQ(error_of([&] { xz().open(source, points[3])->read(none); }), EUCLEAN)
        << "no byte is given out before the check";
    EXPECT_TRUE(std::ranges::equal(none, before));
}

TEST(XzTest, APassThatDecodesGoesOnBehindADamagedBlock) {
    const auto plain = mixed(kMiB);
    auto packed = packed_by("xz -0 --check=none --block-size=128KiB", plain);
    const auto points = pass_over(packed).points;
    const auto start = points[3].packed_bit / 8;
    std::fill_n(packed.begin() + static_cast<ptrdiff_t>(start) + 40, 1000, std::byte{0xFF});
    const auto record = pass_over(packed);
    EXPECT_EQ(record.lost, 128 * kKiB);
    auto expected = plain;
    std::fill_n(expected.begin() + static_cast<ptrdiff_t>(points[3].plain), 128 * kKiB,
                std::byte{});
    EXPECT_EQ(record.plain, expected);
}

TEST(XzTest, TheRestOfADamagedLargeBlockIsLost) {
    const auto plain = large_plain();
    auto packed = packed_by("xz -0 -T1", plain);
    packed[packed.size() - 1000] ^= std::byte{1};
    const auto record = pass_over(packed);
    EXPECT_EQ(record.plain.size(), plain.size());
    EXPECT_EQ(record.mismatches.size(), 1U);
}

TEST(XzTest, ADictionaryThatTakesTooMuchMemoryIsRefused) {
    const auto plain = mixed(100'000);
    for (const auto* command :
         {"xz --lzma2=preset=0,dict=1500MiB", "xz --check=none --lzma2=preset=0,dict=1500MiB"}) {
        // The writer makes the dictionary no larger than the plain bytes if it knows their number.
        const auto packed = packed_by(std::string("cat | ") + command, plain);
        const auto line = line_of([&] { pass_over(packed); });
        EXPECT_NE(line.find("takes 1.5 GiB of memory"), std::string::npos) << line;
        EXPECT_EQ(error_of([&] { pass_over(packed); }), ENOTSUP);
    }
}

TEST(XzTest, ABombIsDecodedInBoundedMemory) {
    const auto plain = Bytes(200 * kMiB);
    const auto record = pass_over(packed_by("xz -0 -T1", plain));
    EXPECT_EQ(record.plain.size(), plain.size());
}

TEST(XzTest, FlippedBitsAreFound) {
    const auto plain = mixed(24'000);
    for (const auto* command : {"xz -0 --block-size=8KiB", "xz -0 --check=sha256",
                                "xz -0 -T2 --check=crc32 --block-size=5KiB"}) {
        SCOPED_TRACE(command);
        expect_bit_flips_are_found(xz(), packed_by(command, plain), plain, 500);
    }
}

TEST(XzTest, FlippedBitsWithoutAChecksumDoNoHarm) {
    const auto packed = packed_by("xz -0 --check=none --block-size=8KiB", mixed(24'000));
    expect_bit_flips_do_no_harm(xz(), packed, 1000);
}

TEST(XzTest, ACutStreamIsTold) {
    const auto plain = mixed(50'000);
    expect_truncation_is_told(xz(), packed_by("xz -0 --block-size=64KiB", plain), 700);
    expect_truncation_is_told(xz(), packed_by("xz -0 --check=none", plain), 300);
}

TEST(XzTest, ForgedPointsDoNoHarm) {
    const auto plain = mixed(500'000);
    for (const auto* command :
         {"xz -0 --block-size=64KiB", "xz -0 --check=none --block-size=64KiB"}) {
        expect_forged_points_do_no_harm(xz(), packed_by(command, plain), 500);
    }
}

TEST(XzTest, WhatStandsBehindTheStreamIsTold) {
    const auto plain = mixed(150'000);
    expect_garbage_behind_is_told(xz(), packed_by("xz -0", plain), plain);
}

TEST(XzTest, AnUnreadablePackedByteIsNoDamage) {
    const auto packed = packed_by("xz -0 --check=none --block-size=64KiB", mixed(500'000));
    const FaultySource source(packed, {.start = packed.size() / 2, .length = 1, .code = EIO});
    EXPECT_EQ(error_of([&] { record_pass(xz(), source); }), EIO);
}

}  // namespace
}  // namespace imgfs
