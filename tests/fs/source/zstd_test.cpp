#include "fs/source/zstd.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>

#include "fs/base/error.h"
#include "fs/source/zstd_frame.h"
#include "tests/support/codec_contract.h"
#include "tests/support/codec_damage.h"
#include "tests/support/memory_source.h"
#include "tests/support/packed.h"
#include "tests/support/shell.h"
#include "tests/support/thrown.h"

namespace imgfs {
namespace {

const Codec& kZstd = codec_named("zstd");

/// Programs and texts as a partition holds them.
Bytes files(size_t size) {
    const auto tar = "tar -C / --sort=name -cf - usr/bin usr/include 2>/dev/null";
    return packed_by("sh -c '" + std::string(tar) + " | head -c " + std::to_string(size) + "'", {});
}

/// Files, and what they don't have: noise, zeros, few letters, and the start again.
Bytes everything() {
    auto plain = joined(files(6 * kMiB), mixed(2 * kMiB));
    const auto start = Bytes(plain.begin(), plain.begin() + kMiB);
    return joined(joined(std::move(plain), Bytes(kMiB)), start);
}

class ZstdLevelTest : public testing::TestWithParam<const char*> {};

// Invariants 1, 2, 4 and 5 of ZSTD_POINTS.md.
TEST_P(ZstdLevelTest, EverySegmentIsDecodedAndAPassGoesOnFromAnyPoint) {
    const auto plain = everything();
    expect_keeps_codec_contract(kZstd, packed_by(GetParam(), plain), plain, {.dense = true});
}

INSTANTIATE_TEST_SUITE_P(Programs, ZstdLevelTest,
                         testing::Values("zstd -T0 -3", "zstd -3 --single-thread", "zstd -1 -B1M",
                                         "zstd --fast=5 --no-check", "zstd -12 --long=27",
                                         "zstd -3 --rsyncable", "pzstd -p2"));

Bytes skippable(size_t size) {
    Bytes frame(8);
    store(frame, 0, uint32_t{0x184d2a57});
    store(frame, 4, static_cast<uint32_t>(size));
    return joined(std::move(frame), noise(size, size));
}

// Invariant 1.
TEST(ZstdTest, FramesFollowEachOtherAndMayBeEmptyOrSkipped) {
    const auto empty = packed_by("zstd -3", {});
    const auto first = mixed(1'300'000, 1);
    const auto second = mixed(5 * kMiB, 2);
    auto packed = joined(joined(skippable(5), empty), skippable(0));
    packed = joined(joined(packed, packed_by("zstd -3", first)), skippable(300'000));
    packed = joined(joined(packed, empty), packed_by("zstd -1 --no-check", second));
    packed = joined(joined(packed, packed_by("zstd -19", first)), empty);
    packed = joined(packed, skippable(3'000'000));
    const auto plain = joined(joined(first, second), first);
    expect_keeps_codec_contract(kZstd, packed, plain, {.dense = true});
    expect_keeps_codec_contract(kZstd, empty, {});
    expect_keeps_codec_contract(kZstd, joined(skippable(7), empty), {});
    EXPECT_EQ(find_codec(MemorySource(packed))->name, "zstd");
}

TEST(ZstdTest, OneByteAndOnlyNoiseAreStreamsToo) {
    expect_keeps_codec_contract(kZstd, packed_by("zstd -3", to_bytes("x")), to_bytes("x"));
    const auto plain = noise(5 * kMiB, 8);
    const auto packed = packed_by("zstd -3", plain);
    expect_keeps_codec_contract(kZstd, packed, plain, {.dense = true});
    EXPECT_EQ(record_pass(kZstd, MemorySource(packed), {.dense = true}).points.size(), 2U);
}

// ZSTD_POINTS.md: with a large window all up to the next point is decoded at once.
TEST(ZstdTest, WithALargeWindowADecoderNeedsNeitherItNorAllOfTheDictionary) {
    constexpr uint64_t kWindow = 128 * kMiB;
    const auto once = files(9 * kMiB);
    const auto plain = joined(once, once);
    for (const auto* const program : {"zstd -3 --long=27", "zstd -19 --long=27 --single-thread"}) {
        const MemorySource packed(packed_by(program, plain));
        const auto points = record_pass(kZstd, packed, {.dense = true}).points;
        ASSERT_GE(points.size(), 2U);
        auto point = points.back();
        ASSERT_FALSE(point.state.empty());
        point.next_bit = packed.size() * 8;
        point.end = plain.size();
        Bytes rest(plain.size() - point.plain);
        const auto decoder = open_zstd(packed, point);
        EXPECT_LT(decoder->memory(rest.size()), kWindow / 2);
        decoder->read(ByteSpan(rest).first(100));
        EXPECT_TRUE(decoder->has_more());
        decoder->read(ByteSpan(rest).subspan(100));
        EXPECT_FALSE(decoder->has_more());
        EXPECT_TRUE(std::ranges::equal(rest, ConstByteSpan(plain).subspan(point.plain)));
    }
}

TEST(ZstdTest, WhatCannotBeDecodedAtOnceIsLeftToADecoderThatNeedNot) {
    const auto plain = joined(files(9 * kMiB), mixed(2 * kMiB));
    const MemorySource packed(packed_by("zstd -3 --long=27 --single-thread", plain));
    auto point = record_pass(kZstd, packed, {.dense = true}).points.back();
    ASSERT_FALSE(point.state.empty());
    point.next_bit = point.packed_bit + 8;  // not all
    point.end = plain.size();
    Bytes rest(plain.size() - point.plain);
    EXPECT_THROW(open_zstd(packed, point)->read(rest), NotAtOnce);
    point.next_bit = 0;
    open_zstd(packed, point)->read(rest);
    EXPECT_TRUE(std::ranges::equal(rest, ConstByteSpan(plain).subspan(point.plain)));
}

// Repeat offsets that nothing redefines for a long time.
TEST(ZstdTest, OneRepeatedPatternHasPointsToo) {
    const auto once = noise(1000, 9);
    Bytes plain;
    while (plain.size() < 13 * kMiB) {
        plain.insert(plain.end(), once.begin(), once.end());
    }
    const auto packed = packed_by("zstd -3 --single-thread", plain);
    expect_keeps_codec_contract(kZstd, packed, plain, {.dense = true});
    EXPECT_GE(record_pass(kZstd, MemorySource(packed), {.dense = true}).points.size(), 3U);
}

std::string refusal(std::string_view start) {
    const MemorySource source(joined(to_bytes(start), Bytes(100)));
    const auto line = line_of([&] { record_pass(kZstd, source); });
    EXPECT_EQ(line, line_of([&] {
                  Bytes out(1);
                  open_zstd(source, {})->read(out);
              }));
    return line;
}

TEST(ZstdTest, WhatIsNotReadIsRefusedByName) {
    using namespace std::string_view_literals;
    EXPECT_NE(refusal("\x27\xb5\x2f\xfd"sv).find("format before 0.8"), std::string::npos);
    EXPECT_NE(refusal("\x28\xb5\x2f\xfd\x01\x50\x07"sv).find("dictionary"), std::string::npos);
    EXPECT_NE(refusal("\x28\xb5\x2f\xfd\0\xb0"sv).find("over 2 GiB"), std::string::npos);
    EXPECT_NE(refusal("\x28\xb5\x2f\xfd\x08\x50"sv).find("reserved bit"), std::string::npos);
    EXPECT_TRUE(starts_zstd(bytes_of("\x25\xb5\x2f\xfd")));
    EXPECT_TRUE(starts_zstd(skippable(0)));
    EXPECT_FALSE(starts_zstd(bytes_of("\x28\xb5\x2f")));
}

/// Offset of the body of the frame's first compressed block from `plain` plain bytes on; all blocks
/// before it are full.
size_t compressed_block(const Bytes& packed, size_t plain) {
    auto at = next_zstd_frame(MemorySource(packed), 0)->packed_size;
    for (size_t made = 0;; made += kZstdBlockMost) {
        const auto header = zstd_block_header(ConstByteSpan(packed).subspan(at));
        if (made >= plain && header.kind == ZstdBlockHeader::Kind::compressed) {
            return at + kZstdBlockHeader;
        }
        at += kZstdBlockHeader + header.body();
    }
}

TEST(ZstdTest, OfADamagedFrameOfKnownSizeOnlyTheRestIsLost) {
    const auto first = files(2 * kMiB);
    const auto second = mixed(300'000);
    const auto size = "zstd -3 --stream-size=" + std::to_string(first.size());
    auto packed = packed_by(size, first);
    const auto bad = compressed_block(packed, kMiB);
    std::fill_n(packed.begin() + static_cast<ptrdiff_t>(bad), 20, std::byte{0xff});
    packed = joined(std::move(packed), packed_by("zstd -3", second));
    const MemorySource source(packed);
    const auto record = record_pass(kZstd, source);
    const auto good = first.size() - record.lost;
    EXPECT_GE(good, kMiB);
    EXPECT_LT(good, first.size());
    EXPECT_TRUE(std::ranges::equal(ConstByteSpan(record.plain).first(good),
                                   ConstByteSpan(first).first(good)));
    EXPECT_TRUE(std::ranges::equal(ConstByteSpan(record.plain).subspan(first.size()), second));
    ASSERT_EQ(record.points.size(), 2U);
    EXPECT_EQ(record.points[1].plain, first.size());
    Bytes out(second.size());
    open_zstd(source, record.points[1])->read(out);
    EXPECT_EQ(out, second);
    out.resize(first.size());
    EXPECT_EQ(error_of([&] { open_zstd(source, {})->read(out); }), EUCLEAN);
}

// Invariant 5: the checksum is of more than what this pass decodes.
TEST(ZstdTest, APassThatGoesOnChecksTheWholeFrame) {
    const auto plain = files(6 * kMiB);
    auto packed = packed_by("zstd -3", plain);
    packed.back() ^= std::byte{1};
    const MemorySource source(packed);
    const auto record = record_pass(kZstd, source, {.dense = true});
    ASSERT_EQ(record.mismatches.size(), 1U);
    EXPECT_NE(record.mismatches[0].find("memory: byte "), std::string::npos);
    ASSERT_EQ(record.points.size(), 2U);
    const auto behind = [&](uint64_t offset, ByteSpan out) {
        std::ranges::copy(ConstByteSpan(plain).subspan(offset, out.size()), out.begin());
    };
    const auto again =
        record_pass(kZstd, source, {.dense = true}, {.point = record.points[1], .behind = behind});
    EXPECT_EQ(again.mismatches, record.mismatches);
    Bytes out(plain.size());
    EXPECT_EQ(error_of([&] { open_zstd(source, {})->read(out); }), EUCLEAN);
}

TEST(ZstdTest, ForgedPointsEndInBytesOrAnError) {
    const auto plain = files(5 * kMiB);
    ASSERT_EQ(plain.size(), 5 * kMiB);
    expect_forged_points_do_no_harm(kZstd, packed_by("zstd -3", plain), 60);
}

/// Ends the pass, as one that is cancelled does.
class CancellingSink final : public PassSink {
  public:
    void point(SeekPoint /*point*/) override {}
    void plain(ConstByteSpan /*bytes*/) override { fail(ECANCELED, "cancelled"); }
    void unchecked(uint64_t /*count*/) override {}
    void skipped(uint64_t /*count*/) override {}
    void lost(uint64_t /*count*/, const std::string& /*line*/) override {}
    void mismatch(const std::string& /*line*/) override {}
    void progress(uint64_t /*packed*/) override {}
    void note(const std::string& /*line*/) override {}
};

TEST(ZstdTest, WhatTheSinkThrowsEndsThePass) {
    const MemorySource source(packed_by("zstd -1", noise(6 * kMiB, 1)));
    CancellingSink sink;
    EXPECT_EQ(error_of([&] { pass_zstd(source, {}, {}, sink); }), ECANCELED);
}

TEST(ZstdTest, DamageIsFound) {
    const auto plain = mixed(150'000, 3);
    const auto packed = packed_by("zstd -3", plain);
    expect_bit_flips_are_found(kZstd, packed, plain, 150);
    expect_bit_flips_do_no_harm(kZstd, packed_by("zstd -3 --no-check", plain), 150);
    expect_truncation_is_told(kZstd, packed, 120);
    expect_garbage_behind_is_told(kZstd, packed, plain);
}

}  // namespace
}  // namespace imgfs
