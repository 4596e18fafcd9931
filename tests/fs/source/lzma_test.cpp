#include <gtest/gtest.h>

#include <cerrno>

#include "fs/base/error.h"
#include "fs/source/lzma.h"
#include "tests/support/codec_contract.h"
#include "tests/support/codec_damage.h"
#include "tests/support/large_unit.h"
#include "tests/support/memory_source.h"
#include "tests/support/packed.h"
#include "tests/support/thrown.h"

namespace imgfs {
namespace {

const Codec& lzma() {
    return codec_named("lzma");
}

PassRecord pass_over(Bytes packed) {
    return record_pass(lzma(), MemorySource(std::move(packed)));
}

/// As writers do that know the size before they start.
Bytes with_size(Bytes packed, uint64_t size) {
    store<uint64_t>(packed, 5, size);
    return packed;
}

TEST(LzmaTest, EveryWriterKeepsTheContract) {
    const auto plain = mixed(kMiB + 4321);
    for (const auto* command : {"lzma -3", "xz --format=lzma -0", "xz --format=lzma -6"}) {
        SCOPED_TRACE(command);
        const auto packed = packed_by(command, plain);
        expect_keeps_codec_contract(lzma(), packed, plain);
        expect_keeps_codec_contract(lzma(), with_size(packed, plain.size()), plain);
    }
    expect_keeps_codec_contract(lzma(), packed_by("lzma", {}), {});
}

TEST(LzmaTest, ALargeStreamComesWithAWarning) {
    const auto plain = joined(mixed(kMiB), Bytes(33 * kMiB));
    const auto packed = packed_by("lzma -0", plain);
    for (const auto& stream : {packed, with_size(packed, plain.size())}) {
        expect_one_large_unit(lzma(), stream, plain);
        const auto record = pass_over(stream);
        EXPECT_EQ(record.points.size(), 1U);
        ASSERT_EQ(record.notes.size(), 1U);
        EXPECT_NE(record.notes[0].find("(xz --format=lzma -dc IMAGE | zstd"), std::string::npos)
            << record.notes[0];
    }
}

TEST(LzmaTest, ASizeThatLiesIsFound) {
    const auto plain = mixed(300'000);
    const auto packed = packed_by("lzma -0", plain);
    const auto less = pass_over(with_size(packed, plain.size() - 1000));
    EXPECT_EQ(less.lost, plain.size() - 1000);
    const auto more = pass_over(with_size(packed, plain.size() + 1000));
    EXPECT_EQ(more.lost, plain.size() + 1000);
    const auto absurd = with_size(packed, uint64_t{1} << 47);
    EXPECT_EQ(error_of([&] { pass_over(absurd); }), EUCLEAN);
}

TEST(LzmaTest, ADictionaryThatTakesTooMuchMemoryIsRefused) {
    auto packed = packed_by("lzma -0", mixed(100'000));
    store<uint32_t>(packed, 1, uint32_t{3} << 29);
    EXPECT_EQ(error_of([&] { pass_over(packed); }), ENOTSUP);
}

TEST(LzmaTest, WhatADecoderTakesIsKnownBeforeItIsRead) {
    const auto plain = mixed(100'000);
    auto lzip_packed = packed_by("lzip -0", plain);
    lzip_packed[5] = std::byte{24};  // a dictionary of 16 MiB
    const MemorySource lzip(lzip_packed);
    const MemorySource xz(packed_by("cat | xz --check=none --lzma2=preset=0,dict=16MiB", plain));
    const MemorySource alone(
        packed_by("cat | xz --format=lzma --lzma1=preset=0,dict=16MiB", plain));
    for (const auto& [name, packed] :
         {std::pair("lzip", &lzip), std::pair("xz", &xz), std::pair("lzma", &alone)}) {
        SCOPED_TRACE(name);
        const auto decoder = codec_named(name).open(*packed, {});
        EXPECT_GE(decoder->memory(kGiB), 16 * kMiB);
        EXPECT_LT(decoder->memory(kGiB), 18 * kMiB);
        EXPECT_LT(decoder->memory(64 * kKiB), 2 * kMiB) << "no more is touched than is decoded";
        Bytes out(plain.size());
        decoder->read(out);
        EXPECT_EQ(out, plain);
    }
}

TEST(LzmaTest, FlippedBitsDoNoHarm) {
    const auto packed = packed_by("lzma -0", mixed(24'000));
    expect_bit_flips_do_no_harm(lzma(), packed, 1000);
}

TEST(LzmaTest, ACutStreamIsTold) {
    expect_truncation_is_told(lzma(), packed_by("lzma -0", mixed(50'000)), 1000);
}

TEST(LzmaTest, ForgedPointsDoNoHarm) {
    expect_forged_points_do_no_harm(lzma(), packed_by("lzma -0", mixed(300'000)), 300);
}

TEST(LzmaTest, WhatStandsBehindTheStreamIsTold) {
    const auto plain = mixed(50'000);
    expect_garbage_behind_is_told(lzma(), packed_by("lzma -0", plain), plain);
}

}  // namespace
}  // namespace imgfs
