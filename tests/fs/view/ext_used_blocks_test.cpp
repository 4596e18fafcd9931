#include "fs/view/ext_used_blocks.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "fs/base/fd.h"
#include "fs/view/ext_view.h"
#include "tests/support/ext_image.h"
#include "tests/support/memory_device.h"
#include "tests/support/memory_source.h"
#include "tests/support/shell.h"
#include "tests/support/temp_dir.h"
#include "tests/support/thrown.h"

namespace imgfs {
namespace {

constexpr size_t kBitmapOffset = 110;

/// The header and the bitmap of what partclone.extfs makes of it.
Bytes partclones_bitmap(ConstByteSpan partition) {
    const TempDir dir;
    write_file(dir / "partition", partition);
    run("cd " + dir.path().string() + " && partclone.extfs -L log -c -s partition -o image");
    auto image = read_file(dir / "image", kGiB);
    image.resize(kBitmapOffset + (le64(image, 60) + 7) / 8);
    return image;
}

/// A size that ends in a short group.
Bytes made(const std::string& options) {
    return make_ext_image({.options = options, .size = 45 * kMiB, .tree = "/usr/include/linux"});
}

void expect_as_partclone(Device& device, ConstByteSpan partition) {
    const auto expected = partclones_bitmap(partition);
    const auto found = ext_used_blocks(device);
    EXPECT_EQ(found.doubt, "");
    EXPECT_EQ(found.block_size, le32(expected, 84));
    EXPECT_EQ(found.block_count, le64(expected, 60));
    for (uint64_t block = 0; block < found.block_count; ++block) {
        const auto byte = std::to_integer<unsigned>(expected[kBitmapOffset + block / 8]);
        ASSERT_EQ(found.words[block / 64] >> (block % 64) & 1, byte >> (block % 8) & 1) << block;
    }
}

TEST(ExtUsedBlocksTest, TheyAreThoseThatPartcloneSaves) {
    for (const auto* options :
         {"-t ext4 -b 4096", "-t ext4 -b 1024", "-t ext4 -b 1024 -g 1024", "-t ext3 -b 1024",
          "-t ext2 -b 1024", "-t ext2 -b 4096", "-t ext4 -b 1024 -O ^flex_bg,^64bit",
          "-t ext4 -b 1024 -O ^metadata_csum,uninit_bg", "-t ext4 -O ^resize_inode,meta_bg"}) {
        SCOPED_TRACE(options);
        const auto partition = made(options);
        MemoryDevice device(partition);
        expect_as_partclone(device, partition);
    }
}

TEST(ExtUsedBlocksTest, AfterChangesToo) {
    MemoryDevice device(made("-t ext4 -b 1024"));
    {
        const auto view = make_ext_view(device, ViewAccess::read_write);
        const auto file = view->make(kRootInode, {.name = "new", .mode = S_IFREG | 0644});
        view->write(file.inode, 0, noise(9 * kMiB, 1));
        view->commit();
    }
    expect_as_partclone(device, device.committed());
}

TEST(ExtUsedBlocksTest, WhatTheBitmapsMayNotSayIsDoubted) {
    struct Doubt {
        const char* request;
        const char* word;
    };
    for (const auto& [request, word] :
         {Doubt{"feature needs_recovery", "journal"}, Doubt{"ssv state 0", "not unmounted"},
          Doubt{"ssv state 3", "errors"}}) {
        const TempDir dir;
        const auto path = dir / "partition";
        write_file(path, made("-t ext4 -b 1024"));
        run("debugfs -w -R '" + std::string(request) + "' " + path.string());
        MemoryDevice device(read_file(path, kGiB));
        const auto found = ext_used_blocks(device);
        EXPECT_NE(found.doubt.find(word), std::string::npos) << request << ": " << found.doubt;
        EXPECT_TRUE(found.words.empty());
    }
    auto partition = made("-t ext4 -b 1024");
    MemoryDevice cut({partition.begin(), partition.begin() + 30 * kMiB});
    EXPECT_NE(ext_used_blocks(cut).doubt.find("larger"), std::string::npos);
    partition[1024 + 0x20] ^= std::byte{0xff};
    MemoryDevice damaged(partition);
    EXPECT_NE(ext_used_blocks(damaged).doubt, "");
}

}  // namespace
}  // namespace imgfs
