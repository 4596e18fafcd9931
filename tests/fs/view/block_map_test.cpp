#include "fs/view/block_map.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <random>
#include <sstream>

#include "fs/view/file_data.h"
#include "tests/support/ext_image.h"
#include "tests/support/memory_device.h"
#include "tests/support/memory_source.h"
#include "tests/support/shell.h"
#include "tests/support/temp_dir.h"

namespace imgfs {
namespace {

constexpr const char* kTypes[] = {
    "-t ext2 -b 1024",
    "-t ext2 -b 4096",
    "-t ext3 -b 2048",
    "-t ext4 -b 1024",
    "-t ext4 -b 2048",
    "-t ext4 -b 4096",
    "-t ext4 -b 1024 -O ^metadata_csum,^64bit",
    "-t ext4 -b 4096 -O ^extent,^64bit",
    "-t ext3 -b 1024 -I 128",
};

/// Pieces of noise with holes between them.
void write_sparse(const std::string& path, uint64_t pieces, uint64_t step) {
    std::ofstream file(path, std::ios::binary);
    for (uint64_t i = 0; i < pieces; ++i) {
        const Bytes piece = noise(1000 + i * 100, i + 1);
        file.seekp(static_cast<std::streamoff>(i * step));
        file.write(reinterpret_cast<const char*>(piece.data()),
                   static_cast<std::streamsize>(piece.size()));
    }
}

Bytes content_of(const std::string& path) {
    Bytes content(std::filesystem::file_size(path));
    std::ifstream(path, std::ios::binary)
        .read(reinterpret_cast<char*>(content.data()),
              static_cast<std::streamsize>(content.size()));
    return content;
}

ext2_ino_t inode_of(ExtFilesystem& fs, const std::string& name) {
    ext2_ino_t number = 0;
    ExtFilesystem::check(
        ext2fs_namei(fs.handle(), EXT2_ROOT_INO, EXT2_ROOT_INO, name.c_str(), &number), name);
    return number;
}

/// What debugfs' `bmap` says of each block.
std::vector<uint64_t> debugfs_blocks(ConstByteSpan partition, const std::string& name,
                                     uint64_t count) {
    const TempDir folder;
    write_file(folder / "partition", partition);
    std::string requests;
    for (uint64_t block = 0; block < count; ++block) {
        requests += "bmap " + name + " " + std::to_string(block) + "\n";
    }
    write_file(folder / "requests", bytes_of(requests));
    std::istringstream lines(run("debugfs -f " + (folder / "requests").string() + " " +
                                 (folder / "partition").string() +
                                 " 2>/dev/null | grep -v ^debugfs"));
    std::vector<uint64_t> blocks;
    for (uint64_t block = 0; lines >> block;) {
        blocks.push_back(block);
    }
    return blocks;
}

class BlockMapTypesTest : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Types, BlockMapTypesTest, testing::ValuesIn(kTypes));

TEST_P(BlockMapTypesTest, SaysAndReadsWhatTheRealToolsPutThere) {
    const TempDir tree;
    write_file(tree / "empty", {});
    write_file(tree / "tiny", noise(1, 5));
    write_file(tree / "plain", noise(700001, 6));
    write_sparse(tree / "sparse", 60, 9000);
    write_sparse(tree / "far", 2, 70 * kMiB);  // past what two levels of 1 KiB blocks map
    MemoryDevice device(
        make_ext_image({.options = GetParam(), .size = 24 * kMiB, .tree = tree.path()}));
    ExtFilesystem fs(device, ViewAccess::read_only);
    FileData data(fs);
    for (const std::string name : {"empty", "tiny", "plain", "sparse", "far"}) {
        const Bytes expected = content_of(tree / name);
        const auto number = inode_of(fs, name);
        Bytes found(expected.size() + 10);
        EXPECT_EQ(data.read(number, 0, found), expected.size());
        found.resize(expected.size());
        EXPECT_TRUE(found == expected) << name;
        EXPECT_EQ(data.read(number, expected.size(), found), 0U);
        EXPECT_EQ(data.read(number, UINT64_MAX - 5, found), 0U);

        const uint64_t blocks = std::min<uint64_t>(expected.size() / fs.block_size() + 3, 700);
        auto inode = fs.inode(number);
        std::vector<uint64_t> mapped;
        for (const BlockRun& run : map_blocks(fs, number, inode, 0, blocks)) {
            EXPECT_EQ(run.logical, mapped.size());
            for (uint64_t i = 0; i < run.count; ++i) {
                mapped.push_back(run.physical == 0 ? 0 : run.physical + i);
            }
        }
        EXPECT_EQ(mapped, debugfs_blocks(read_all(device), name, blocks)) << name;
    }
}

TEST_P(BlockMapTypesTest, ReadsAnyRange) {
    const TempDir tree;
    write_sparse(tree / "sparse", 50, 20000);
    MemoryDevice device(make_ext_image({.options = GetParam(), .tree = tree.path()}));
    ExtFilesystem fs(device, ViewAccess::read_only);
    FileData data(fs);
    const Bytes expected = content_of(tree / "sparse");
    const auto number = inode_of(fs, "sparse");
    std::mt19937_64 random(7);
    for (int i = 0; i < 300; ++i) {
        const uint64_t offset = random() % expected.size();
        Bytes found(random() % 30000);
        const auto there = ConstByteSpan(expected).subspan(
            offset, std::min<uint64_t>(found.size(), expected.size() - offset));
        found.resize(data.read(number, offset, found));
        EXPECT_TRUE(std::ranges::equal(found, there)) << offset;
    }
}

}  // namespace
}  // namespace imgfs
