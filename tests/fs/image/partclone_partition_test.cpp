#include "fs/image/partclone_partition.h"

#include <gtest/gtest.h>

#include "tests/support/counting_source.h"
#include "tests/support/image_builder.h"
#include "tests/support/memory_source.h"
#include "tests/support/source_contract.h"

namespace imgfs {
namespace {

std::unique_ptr<Partition> open_stream(Bytes stream) {
    return open_partition(std::make_unique<MemorySource>(std::move(stream)));
}

struct Count {
    std::atomic<uint64_t> bytes = 0;
    std::atomic<uint64_t> reads = 0;
};

std::unique_ptr<Partition> open_counted(Bytes stream, Count& count) {
    return open_partition(
        std::make_unique<CountingSource>(std::make_unique<MemorySource>(std::move(stream)),
                                         count.bytes, &count.reads),
        {.vouching = [](uint64_t, uint64_t) { return Vouched::yes; }});
}

TEST(PartclonePartitionTest, ReadsEveryKindOfStream) {
    for (const auto mode : std::initializer_list<uint16_t>{0x00, 0x20, 0x30, 0x31}) {
        for (const uint32_t strip : {1, 3, 7, 256}) {
            for (const bool restart : {true, false}) {
                SCOPED_TRACE(testing::Message() << "mode " << mode << ", strips of " << strip
                                                << (restart ? "" : ", running"));
                const auto image = build_partclone({.block_size = 64,
                                                    .used = used_blocks(1003, 60, strip),
                                                    .tail = 700,
                                                    .checksum_mode = mode,
                                                    .blocks_per_checksum = strip,
                                                    .restart = restart,
                                                    .bits_past_end = true});
                const auto partition = open_stream(image.stream);
                expect_keeps_source_contract(*partition, image.plain);
                std::string damage;
                const auto checked =
                    partition->verify([&](const std::string& line) { damage += line + "\n"; }, {});
                EXPECT_EQ(damage, "");
                const auto used = partition->info().used_blocks;
                EXPECT_EQ(checked, 2 + (mode == 0 ? 0 : (used + strip - 1) / strip));
            }
        }
    }
}

TEST(PartclonePartitionTest, HasNoChecksumAfterAFullLastStrip) {
    const auto image = build_partclone({.used = std::vector<bool>(9, true)});
    const auto partition = open_stream(image.stream);
    EXPECT_EQ(read_all(*partition), image.plain);
    EXPECT_EQ(image.stream.size(), 110 + 2 + 4 + 9 * 512 + 3 * 4);
}

TEST(PartclonePartitionTest, ReadsAnImageThatHoldsNoBlockAtAll) {
    const auto image = build_partclone({.used = std::vector<bool>(100)});
    const auto partition = open_stream(image.stream);
    expect_keeps_source_contract(*partition, Bytes(51200));
    EXPECT_EQ(partition->verify({}, {}), 2);
}

TEST(PartclonePartitionTest, TellsWhatTheHeaderSays) {
    const auto image = build_partclone({.block_size = 1024,
                                        .used = {true, false, true},
                                        .tail = 100,
                                        .checksum_mode = 0x31,
                                        .blocks_per_checksum = 7,
                                        .restart = false});
    const auto partition = open_stream(image.stream);
    const auto& info = partition->info();
    EXPECT_EQ(info.format, "partclone 0002");
    EXPECT_EQ(info.made_by, "partclone 0.3.99");
    EXPECT_EQ(info.file_system, "EXTFS");
    EXPECT_EQ(info.device_size, 3 * 1024 + 100);
    EXPECT_EQ(info.block_size, 1024);
    EXPECT_EQ(info.total_blocks, 3);
    EXPECT_EQ(info.used_blocks, 2);
    EXPECT_EQ(info.checksum, "XXH128");
    EXPECT_EQ(info.blocks_per_checksum, 7);
    EXPECT_FALSE(info.checksums_restart);
}

TEST(PartclonePartitionTest, PutsACopyOfTheBootSectorAtTheEndOfNtfs) {
    const auto image = build_partclone({.block_size = 4096,
                                        .used = std::vector<bool>(10, true),
                                        .tail = 1024,
                                        .file_system = "NTFS"});
    Bytes expected = image.plain;
    std::copy_n(expected.begin(), 512, expected.end() - 512);
    const auto partition = open_stream(image.stream);
    expect_keeps_source_contract(*partition, expected);
}

TEST(PartclonePartitionTest, LeavesTheEndOfNtfsAloneWhereItLiesInABlock) {
    const auto image =
        build_partclone({.used = std::vector<bool>(10, true), .tail = 511, .file_system = "NTFS"});
    EXPECT_EQ(read_all(*open_stream(image.stream)), image.plain);
}

TEST(PartclonePartitionTest, FetchesARunOfStripsWithOneRead) {
    const auto image = build_partclone(
        {.block_size = 1024, .used = used_blocks(100, 70, 3), .blocks_per_checksum = 1});
    Count count;
    const auto partition = open_counted(image.stream, count);
    count.reads = 0;
    count.bytes = 0;
    EXPECT_EQ(read_all(*partition), image.plain);
    EXPECT_EQ(count.reads, 1);
    EXPECT_LT(count.bytes, image.stream.size());
}

TEST(PartclonePartitionTest, FetchesNothingForUnusedBlocks) {
    auto used = std::vector<bool>(1000);
    used[0] = true;
    const auto image = build_partclone({.used = used});
    Count count;
    const auto partition = open_counted(image.stream, count);
    count.reads = 0;
    Bytes out(100'000);
    partition->read(512, out);
    EXPECT_EQ(count.reads, 0);
    EXPECT_EQ(out, Bytes(100'000));
}

TEST(PartclonePartitionTest, ReadsAsMuchAsItWasAskedFor) {
    const auto image = build_partclone({.block_size = 4096, .used = std::vector<bool>(500, true)});
    Count count;
    const auto partition = open_counted(image.stream, count);
    count.bytes = 0;
    Bytes out(100);
    partition->read(1'000'000, out);
    EXPECT_EQ(count.bytes, 100);
}

TEST(PartclonePartitionTest, NamesThePlaceInTheStreamAndTheBlock) {
    const auto image = build_partclone({.used = {true, false, true, false}, .tail = 10});
    const auto partition = open_stream(image.stream);
    EXPECT_EQ(partition->place(3), "memory: byte 118, block 0");
    EXPECT_EQ(partition->place(600), "memory: byte 627, before the unused block 1");
    EXPECT_EQ(partition->place(1025), "memory: byte 628, block 2");
    EXPECT_EQ(partition->place(1600), "memory: byte 1139, before the unused block 3");
    EXPECT_EQ(partition->place(2050), "memory: byte 1142, past the last block");
}

}  // namespace
}  // namespace imgfs
