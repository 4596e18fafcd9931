#include "fs/source/zstd.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>

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
    return packed_by("tar -C / --sort=name -cf - usr/bin usr/include 2>/dev/null | head -c " +
                         std::to_string(size) + " || true",
                     {});
}

/// Files, and what they don't have: noise, zeros, few letters, and the start again.
Bytes everything() {
    auto plain = joined(files(9 * kMiB), mixed(2 * kMiB));
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

TEST(ZstdTest, DamageIsFound) {
    const auto plain = mixed(300'000, 3);
    const auto packed = packed_by("zstd -3", plain);
    expect_bit_flips_are_found(kZstd, packed, plain, 300);
    expect_bit_flips_do_no_harm(kZstd, packed_by("zstd -3 --no-check", plain), 300);
    expect_truncation_is_told(kZstd, packed, 200);
    expect_garbage_behind_is_told(kZstd, packed, plain);
}

}  // namespace
}  // namespace imgfs
