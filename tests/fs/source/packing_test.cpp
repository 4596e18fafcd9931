#include "fs/source/packing.h"

#include <gtest/gtest.h>

#include "fs/source/decode.h"
#include "fs/source/stream_packer.h"
#include "tests/support/codec_contract.h"
#include "tests/support/memory_source.h"
#include "tests/support/packed.h"
#include "tests/support/thrown.h"

namespace imgfs {
namespace {

struct Case {
    const char* name;
    const char* unpack;
};
constexpr std::array kCases = {Case{"zstd", "zstd -qdc"}, Case{"gzip", "gzip -dc"},
                               Case{"lz4", "lz4 -qdc"}, Case{"none", "cat"}};

Bytes packed(const Packing& packing, int level, ConstByteSpan plain, size_t step = 100'003) {
    Bytes stream;
    StreamPacker packer(packing, level, [&](ConstByteSpan piece) {
        stream.insert(stream.end(), piece.begin(), piece.end());
    });
    for (size_t at = 0; at < plain.size(); at += step) {
        packer.add(plain.subspan(at, std::min(step, plain.size() - at)));
    }
    packer.finish();
    return stream;
}

TEST(PackingTest, StockProgramsAndOurOwnUnpackAllOfThem) {
    for (const auto& [name, unpack] : kCases) {
        const auto& packing = *find_packing(name);
        for (const size_t size : {size_t{1}, packing.piece_size, 7 * packing.piece_size + 12'345}) {
            SCOPED_TRACE(name + std::string(" ") + std::to_string(size));
            const auto plain = mixed(size);
            const auto stream = packed(packing, packing.usual_level, plain);
            EXPECT_EQ(packed_by(unpack, stream), plain);
            EXPECT_EQ(codec_of(MemorySource(stream)), name);
            const auto decoded = decode(std::make_unique<MemorySource>(stream), {});
            EXPECT_EQ(read_all(*decoded.plain), plain);
        }
    }
}

TEST(PackingTest, EachKeepsTheContractOfItsCodec) {
    for (const auto* name : {"zstd", "gzip", "lz4"}) {
        SCOPED_TRACE(name);
        const auto plain = mixed(3 * kMiB + 4321);
        expect_keeps_codec_contract(codec_named(name), packed(*find_packing(name), 1, plain),
                                    plain);
    }
}

TEST(PackingTest, AllLevelsAreReadAndNoPieceIsTooLargeForItsBlock) {
    auto plain = noise(kMiB, 1);
    plain.resize(plain.size() + 500'000);
    for (const auto& [name, unpack] : kCases) {
        const auto& packing = *find_packing(name);
        for (auto level = packing.least_level; level <= packing.most_level; ++level) {
            EXPECT_EQ(packed_by(unpack, packed(packing, level, plain)), plain) << name << level;
        }
    }
}

TEST(PackingTest, BgzipTakesItForItsOwn) {
    const auto plain = mixed(2'000'000);
    const auto stream = packed(*find_packing("gzip"), 6, plain);
    EXPECT_EQ(packed_by("bgzip -dc", stream), plain);
    EXPECT_EQ(packed_by("bgzip -c </dev/null", {}), end_gzip({})) << "the end of the file";
}

TEST(PackingTest, TheSeekTableSaysWhereEachFrameIsAndWhatItHolds) {
    const auto plain = mixed(2 * kMiB + 77);
    const auto stream = packed(*find_packing("zstd"), 3, plain);
    const ConstByteSpan table = ConstByteSpan(stream).last(8 + 3 * 12 + 9);
    EXPECT_EQ(le32(table, 0), 0x184d2a5eU);
    EXPECT_EQ(le32(table, 4), table.size() - 8);
    size_t packed_end = 0;
    size_t plain_end = 0;
    for (size_t at = 8; at < 8 + 3 * 12; at += 12) {
        const auto frame = ConstByteSpan(stream).subspan(packed_end, le32(table, at));
        const auto piece = ConstByteSpan(plain).subspan(plain_end, le32(table, at + 4));
        EXPECT_EQ(packed_by("zstd -qdc", frame), Bytes(piece.begin(), piece.end()));
        EXPECT_EQ(le32(table, at + 8), static_cast<uint32_t>(xxh64(piece)));
        packed_end += frame.size();
        plain_end += piece.size();
    }
    EXPECT_EQ(packed_end + table.size(), stream.size());
    EXPECT_EQ(plain_end, plain.size());
    EXPECT_EQ(le32(table, table.size() - 9), 3U);
    EXPECT_EQ(table[table.size() - 5], std::byte{0x80});
    EXPECT_EQ(le32(table, table.size() - 4), 0x8f92eab1U);
}

TEST(PackingTest, AFailedWriteEndsIt) {
    const auto& packing = *find_packing("lz4");
    StreamPacker packer(packing, 1, [](ConstByteSpan) { fail(ENOSPC, "full"); });
    EXPECT_EQ(error_of([&] {
                  for (int i = 0; i < 1000; ++i) {
                      packer.add(Bytes(packing.piece_size));
                  }
              }),
              ENOSPC);
}

TEST(PackingTest, AnotherNameIsNoPacking) {
    EXPECT_EQ(find_packing("bzip2"), nullptr);
}

}  // namespace
}  // namespace imgfs
