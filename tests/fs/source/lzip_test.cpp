#include <gtest/gtest.h>

#include <cerrno>

#include "fs/base/error.h"
#include "fs/source/lzip.h"
#include "tests/support/codec_contract.h"
#include "tests/support/codec_damage.h"
#include "tests/support/large_unit.h"
#include "tests/support/memory_source.h"
#include "tests/support/packed.h"
#include "tests/support/thrown.h"

namespace imgfs {
namespace {

const Codec& lzip() {
    return codec_named("lzip");
}

PassRecord pass_over(Bytes packed) {
    return record_pass(lzip(), MemorySource(std::move(packed)));
}

/// Members of 100,000 plain bytes each, and what is left.
const char* const kManyMembers = "plzip -0 -B 100000 -s 64KiB";

TEST(LzipTest, EveryWriterKeepsTheContract) {
    const auto plain = mixed(kMiB + 4321);
    for (const auto* command :
         {"lzip.lzip -3", "lzip.lzip -0", "plzip -0", "plzip -3 -n2 -B 300KiB", kManyMembers,
          "plzip -0 -s 4KiB -B 8KiB", "lzip.lzip -0 -b 200000"}) {
        SCOPED_TRACE(command);
        expect_keeps_codec_contract(lzip(), packed_by(command, plain), plain);
    }
}

TEST(LzipTest, MembersOfAnySizeKeepTheContract) {
    const auto empty = packed_by("lzip.lzip", {});
    const auto first = mixed(150'000);
    const auto second = mixed(90'000, 8);
    const auto one = packed_by("lzip.lzip -0", first);
    const auto two = packed_by("lzip.lzip -0", second);
    expect_keeps_codec_contract(lzip(), empty, {});
    expect_keeps_codec_contract(lzip(), joined(empty, empty), {});
    expect_keeps_codec_contract(lzip(), joined(joined(empty, one), empty), first);
    expect_keeps_codec_contract(lzip(), joined(one, two), joined(first, second));
    expect_keeps_codec_contract(lzip(), joined(joined(two, one), joined(empty, two)),
                                joined(joined(second, first), second));
}

TEST(LzipTest, ThePassDecodesNothingWhereTheMembersAreAlike) {
    const auto plain = mixed(kMiB);
    const auto record = pass_over(packed_by(kManyMembers, plain));
    EXPECT_EQ(record.skipped, plain.size());
    EXPECT_EQ(record.points.size(), 11U);
    EXPECT_EQ(pass_over(packed_by("lzip.lzip -0", plain)).skipped, plain.size());
}

TEST(LzipTest, AWrongSizeInATrailerMovesNothing) {
    const auto plain = mixed(kMiB);
    const auto good = packed_by(kManyMembers, plain);
    const auto points = pass_over(good).points;
    for (const size_t member : {1, 5, 10}) {
        auto packed = good;
        packed[points[member].packed_bit / 8 - 16] ^= std::byte{4};  // of the member before
        const MemorySource source(packed);
        EXPECT_EQ(error_of([&] { record_pass(lzip(), source); }), EUCLEAN) << member;
    }
    auto packed = good;
    packed[packed.size() - 16] ^= std::byte{4};
    const MemorySource source(packed);
    Bytes out(1000);
    EXPECT_EQ(error_of([&] { lzip().open(source, points.back())->read(out); }), EUCLEAN);
}

TEST(LzipTest, ALargeMemberIsDecodedByThePassWithAWarning) {
    const auto plain = joined(mixed(kMiB), Bytes(33 * kMiB));
    const auto packed = packed_by("lzip.lzip -0", plain);
    expect_one_large_unit(lzip(), packed, plain);
    const auto record = pass_over(packed);
    EXPECT_EQ(record.points.size(), 1U);
    ASSERT_EQ(record.notes.size(), 1U);
    EXPECT_NE(record.notes[0].find("the lzip member there is large"), std::string::npos);
}

TEST(LzipTest, WhatIsAppendedIsIgnoredUnlessItLooksLikeAMember) {
    const auto plain = mixed(150'000);
    for (const auto* command : {"lzip.lzip -0", kManyMembers}) {
        const auto packed = packed_by(command, plain);
        for (const size_t zeros : {1, 7, 8, 9, 511, 200'000}) {
            const auto record = pass_over(joined(packed, Bytes(zeros)));
            EXPECT_EQ(record.plain.size(), plain.size()) << zeros;
        }
        const auto record = pass_over(joined(packed, to_bytes("a signature")));
        EXPECT_EQ(record.plain, plain);
        ASSERT_FALSE(record.notes.empty());
        EXPECT_NE(record.notes.back().find("what stands behind it is not looked at"),
                  std::string::npos)
            << record.notes.back();
        for (const auto* damaged : {"LZIQ and more", "NZIP and more", "LZ", "LZI"}) {
            const auto stream = joined(packed, to_bytes(damaged));
            EXPECT_EQ(error_of([&] { pass_over(stream); }), EUCLEAN) << damaged;
        }
    }
}

TEST(LzipTest, EmptyMembersAreAnywhere) {
    const auto plain = mixed(98'304);
    const auto packed = packed_by("plzip -0 -s 4KiB -B 32KiB", plain);
    const auto empty = packed_by("lzip.lzip -0", {});
    expect_keeps_codec_contract(lzip(), joined(joined(joined(packed, empty), empty), packed),
                                joined(plain, plain));
    expect_keeps_codec_contract(lzip(), joined(joined(empty, packed), empty), plain);
}

TEST(LzipTest, ADictionaryThatTakesTooMuchMemoryIsRefused) {
    const auto packed = packed_by("lzip.lzip -0 -s 512MiB", mixed(100'000));
    auto claims = packed;
    claims[5] = std::byte{29};  // 512 MiB, whatever the writer made of it
    const auto line = line_of([&] { pass_over(claims); });
    EXPECT_NE(line.find("of memory, and imgfs takes no more than"), std::string::npos) << line;
    EXPECT_EQ(error_of([&] { pass_over(claims); }), ENOTSUP);
}

TEST(LzipTest, FlippedBitsAreFound) {
    const auto plain = mixed(24'000);
    for (const auto* command : {"lzip.lzip -0", "plzip -0 -s 4KiB -B 8KiB"}) {
        SCOPED_TRACE(command);
        expect_bit_flips_are_found(lzip(), packed_by(command, plain), plain, 500);
    }
}

TEST(LzipTest, ACutStreamIsTold) {
    const auto plain = mixed(50'000);
    expect_truncation_is_told(lzip(), packed_by("lzip.lzip -0", plain), 500);
    expect_truncation_is_told(lzip(), packed_by("plzip -0 -s 4KiB -B 10KiB", plain), 500);
}

TEST(LzipTest, ForgedPointsDoNoHarm) {
    expect_forged_points_do_no_harm(lzip(), packed_by(kManyMembers, mixed(500'000)), 500);
}

}  // namespace
}  // namespace imgfs
