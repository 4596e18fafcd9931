#include "fs/source/lzop.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "fs/source/lzop_file.h"
#include "tests/support/codec_contract.h"
#include "tests/support/codec_damage.h"
#include "tests/support/memory_source.h"
#include "tests/support/packed.h"
#include "tests/support/thrown.h"

namespace imgfs {
namespace {

const Codec& kLzop = codec_named("lzop");

TEST(LzopTest, EveryWriterKeepsTheContract) {
    const auto plain = mixed(700'000);
    for (const auto* command : {"lzop -3", "lzop -1 --crc32", "lzop -9", "lzop -1 --no-checksum",
                                "lzop -3 -C", "lzop -7 --no-checksum --crc32"}) {
        SCOPED_TRACE(command);
        expect_keeps_codec_contract(kLzop, packed_by(command, plain), plain, {.dense = true});
    }
}

TEST(LzopTest, FilesOfOneArchiveAreOneStream) {
    const auto plain = mixed(2'300'005, 1);
    const auto archive = packed_by(
        "cat >in; head -c 1000000 in >a; tail -c +1000001 in >b; lzop -q -o both.lzo a b; "
        "cat both.lzo",
        plain);
    expect_keeps_codec_contract(kLzop, archive, plain);
    const auto empty = packed_by("lzop", {});
    expect_keeps_codec_contract(
        kLzop, joined(joined(empty, archive), joined(packed_by("lzop -F", plain), empty)),
        joined(plain, plain));
    expect_keeps_codec_contract(kLzop, empty, {});
}

TEST(LzopTest, ThePassGoesFromHeaderToHeader) {
    const auto plain = noise(8 * kMiB, 2);
    const MemorySource packed(packed_by("lzop -3", plain));
    EXPECT_EQ(record_pass(kLzop, packed).skipped, plain.size());
    EXPECT_EQ(record_pass(kLzop, packed).points.size(), 4U);
    const MemorySource unchecked(packed_by("lzop -F", plain));
    EXPECT_EQ(record_pass(kLzop, unchecked).skipped, 0U);
}

TEST(LzopTest, DamageIsFound) {
    const auto plain = mixed(600'000, 3);
    for (const auto* command : {"lzop -1", "lzop -1 --crc32"}) {
        SCOPED_TRACE(command);
        const auto packed = packed_by(command, plain);
        expect_bit_flips_are_found(kLzop, packed, plain, 40);
        expect_truncation_is_told(kLzop, packed, 100);
        expect_garbage_behind_is_told(kLzop, packed, plain);
    }
    expect_bit_flips_do_no_harm(kLzop, packed_by("lzop -F", plain), 40);
    const auto small = mixed(3000, 4);
    expect_bit_flips_are_found(kLzop, packed_by("lzop -1", small), small, 1000);
    expect_bit_flips_do_no_harm(kLzop, packed_by("lzop -F", small), 1000);
}

TEST(LzopTest, ForgedPointsDoNoHarm) {
    expect_forged_points_do_no_harm(kLzop, packed_by("lzop -1", mixed(2'200'000, 5)), 60);
}

struct Blocks {
    std::vector<LzopBlock> all;
    explicit Blocks(const Bytes& packed) {
        const MemorySource source(packed);
        LzopReader reader(source, 0, std::nullopt, kMiB);
        for (auto event = reader.next(); event != LzopReader::Event::end; event = reader.next()) {
            if (event == LzopReader::Event::block) {
                all.push_back(reader.block());
            }
        }
    }
};

TEST(LzopTest, ADamagedBlockWithoutChecksumIsLostAlone) {
    Bytes plain(1'000'000, std::byte{'x'});
    const auto packed = packed_by("lzop -F -1", plain);
    const auto blocks = Blocks(packed).all;
    ASSERT_EQ(blocks.size(), 4U);
    for (size_t i = 0; i < blocks.size(); ++i) {
        auto bad = packed;
        std::fill_n(bad.begin() + ptrdiff_t(blocks[i].data), 20, std::byte{0xff});
        const auto record = record_pass(kLzop, MemorySource(bad));
        EXPECT_EQ(record.lost, blocks[i].plain_size);
        auto expected = plain;
        std::fill_n(expected.begin() + ptrdiff_t(i * kUsualLzopBlock), record.lost, std::byte{});
        EXPECT_TRUE(record.plain == expected);
        ASSERT_EQ(record.notes.size(), 1U);
        EXPECT_TRUE(record.notes[0].starts_with("memory: byte " + std::to_string(blocks[i].offset) +
                                                ": a block"));
    }
}

TEST(LzopTest, ADecoderChecksWhatThePassSkipped) {
    const auto plain = noise(1'000'000, 6);
    const auto packed = packed_by("lzop -1", plain);
    const auto blocks = Blocks(packed).all;
    auto bad = packed;
    bad[blocks[1].data + 1000] ^= std::byte{1};
    const MemorySource source(bad);
    EXPECT_EQ(record_pass(kLzop, source).lost, 0U);
    const auto decoder = kLzop.open(source, {});
    Bytes out(kUsualLzopBlock);
    decoder->read(out);
    EXPECT_TRUE(std::ranges::equal(out, ConstByteSpan(plain).first(out.size())));
    EXPECT_NE(line_of([&] {
                  decoder->read(out);
              }).find("memory: byte " + std::to_string(blocks[1].offset) + ": a block"),
              std::string::npos);
}

TEST(LzopTest, ADamagedSizeDoesntShiftWhatFollows) {
    const auto packed = packed_by("lzop -1", noise(1'000'000, 7));
    const auto blocks = Blocks(packed).all;
    for (const size_t which : {0, 1, 2}) {
        auto bad = packed;
        bad[blocks[which].offset + 1] ^= std::byte{1};  // 256 KiB become 320
        EXPECT_EQ(error_of([&] { record_pass(kLzop, MemorySource(bad)); }), EUCLEAN);
    }
}

TEST(LzopTest, AFilterIsRefusedWithTheCommand) {
    const auto packed = packed_by("lzop -1 --filter=1", noise(10'000, 8));
    const auto line = line_of([&] { record_pass(kLzop, MemorySource(packed)); });
    EXPECT_NE(line.find("lzop -dc"), std::string::npos) << line;
}

}  // namespace
}  // namespace imgfs
