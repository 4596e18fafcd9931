#include "fs/transfer/kept_blocks.h"

#include <gtest/gtest.h>

#include "fs/base/fd.h"
#include "tests/support/delta_rig.h"
#include "tests/support/ext_image.h"
#include "tests/support/memory_source.h"
#include "tests/support/shell.h"
#include "tests/support/source_contract.h"
#include "tests/support/temp_dir.h"

namespace imgfs {
namespace {

/// Of blocks 0 to count - 1, those that are used.
std::vector<uint64_t> used_of(const KeptBlocks& kept) {
    std::vector<uint64_t> used;
    for (uint64_t block = 0; block < kept.used.block_count(); ++block) {
        if (kept.used.is_used(block)) {
            used.push_back(block);
        }
    }
    return used;
}

class KeptBlocksTest : public testing::Test {
  protected:
    KeptBlocks kept(const Bytes& image, const ImageInfo& info, ConstByteSpan bitmap = {}) {
        opened_ = open_delta(dir_ / "delta", image);
        for (const auto& [offset, bytes] : changes_) {
            opened_.device->write(offset, bytes);
        }
        opened_.device->flush();
        return kept_blocks(
            {.device = *opened_.device, .changes = *opened_.store, .info = info, .bitmap = bitmap});
    }

    TempDir dir_;
    std::vector<std::pair<uint64_t, Bytes>> changes_;
    OpenDelta opened_;
};

TEST_F(KeptBlocksTest, ThoseOfTheImageAndThoseThatWereChanged) {
    changes_ = {{5 * 4096, noise(10, 1)}, {9 * 4096 + 4095, noise(1, 2)}, {14 * 4096, Bytes(1)}};
    const std::array bitmap = {std::byte{0b0000'0101}, std::byte{0}};
    const auto found = kept(
        noise(16 * 4096, 3),
        {.file_system = "XFS", .device_size = 16 * 4096, .block_size = 4096, .total_blocks = 16},
        bitmap);
    EXPECT_EQ(found.file_system, "XFS");
    EXPECT_EQ(used_of(found), (std::vector<uint64_t>{0, 2, 5, 9, 14}));
}

TEST_F(KeptBlocksTest, WhateverTheSizeOfABlock) {
    changes_ = {{6 * 4096, noise(4096, 1)}};
    const std::array none = {std::byte{0}};
    const auto large = kept(noise(8 * 4096, 3),
                            {.device_size = 8 * 4096, .block_size = 8192, .total_blocks = 4}, none);
    EXPECT_EQ(used_of(large), (std::vector<uint64_t>{3}));
    opened_ = {};
    const Bytes small_none(8);
    const auto small =
        kept(noise(8 * 4096, 3), {.device_size = 8 * 4096, .block_size = 512, .total_blocks = 64},
             small_none);
    EXPECT_EQ(used_of(small), (std::vector<uint64_t>{48, 49, 50, 51, 52, 53, 54, 55}));
}

TEST_F(KeptBlocksTest, OfARawImageAll) {
    const auto found = kept(noise(4096 * 3 + 512, 1), {.device_size = 4096 * 3 + 512});
    EXPECT_EQ(found.block_size, 512);
    EXPECT_EQ(found.used.used_count(), 25);
    EXPECT_EQ(found.file_system, "raw");
}

TEST_F(KeptBlocksTest, WhatWasChangedBehindTheLastBlockHasNoPlace) {
    changes_ = {{3 * 4096, noise(512, 1)}};
    const ImageInfo info{.device_size = 3 * 4096 + 512, .block_size = 4096, .total_blocks = 3};
    const auto image = noise(info.device_size, 2);
    EXPECT_EQ(error_of([&] { kept(image, info); }), ENOTSUP);
}

TEST_F(KeptBlocksTest, OfAnExtFileSystemThoseThatItUses) {
    const auto image = make_ext_image({.options = "-t ext4 -b 1024"});
    const auto found = kept(image, {.device_size = image.size()});
    EXPECT_EQ(found.file_system, "EXTFS");
    EXPECT_EQ(found.block_size, 1024);
    EXPECT_LT(found.used.used_count(), image.size() / 1024 / 2);
    EXPECT_EQ(found.note, "");
}

TEST_F(KeptBlocksTest, OfOneWhoseJournalWasNotReplayedThoseOfTheImage) {
    write_file(dir_ / "part", make_ext_image({.options = "-t ext4 -b 4096"}));
    run("debugfs -w -R 'feature needs_recovery' " + (dir_ / "part").string());
    const auto image = read_file(dir_ / "part", kGiB);
    changes_ = {{300 * 4096, noise(4096, 1)}};
    Bytes bitmap(image.size() / 4096 / 8);
    bitmap[0] = std::byte{0xff};
    const auto found = kept(image,
                            {.file_system = "EXTFS",
                             .device_size = image.size(),
                             .block_size = 4096,
                             .total_blocks = image.size() / 4096},
                            bitmap);
    EXPECT_EQ(used_of(found), (std::vector<uint64_t>{0, 1, 2, 3, 4, 5, 6, 7, 300}));
    EXPECT_NE(found.note.find("journal"), std::string::npos);
}

TEST_F(KeptBlocksTest, TheyAreASourceOneBehindTheOther) {
    const auto device = noise(200 * 512, 4);
    std::vector<uint64_t> words = {0xf0f0'0001'ffff'0000, 0, 0x8000'0000'0000'0003, 0x80};
    const KeptBlocks blocks{.file_system = "",
                            .device_size = device.size(),
                            .block_size = 512,
                            .used = BlockBitmap(std::move(words), 200),
                            .note = {}};
    Bytes expected;
    for (const auto block : used_of(blocks)) {
        const auto at = device.begin() + static_cast<ptrdiff_t>(block * 512);
        expected.insert(expected.end(), at, at + 512);
    }
    const MemorySource source(device);
    expect_keeps_source_contract(UsedBlocks(source, blocks), expected);
}

}  // namespace
}  // namespace imgfs
