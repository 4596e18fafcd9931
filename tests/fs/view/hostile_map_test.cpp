#include <gtest/gtest.h>

#include <random>

#include "fs/base/error.h"
#include "fs/view/block_map.h"
#include "fs/view/file_data.h"
#include "fs/view/map_change.h"
#include "tests/support/ext_image.h"
#include "tests/support/memory_device.h"
#include "tests/support/memory_source.h"
#include "tests/support/temp_dir.h"

namespace imgfs {
namespace {

constexpr uint64_t kFileBlocks = 1200;

/// A partition of 1 KiB blocks with one file of many runs, and where its map lies.
struct Target {
    Bytes partition;
    ext2_ino_t number = 0;
    std::vector<uint64_t> places;  ///< the bytes of the inode's i_block, and the nodes' first bytes
};

Target make_target(const std::string& options) {
    const TempDir tree;
    write_file(tree / "file", {});
    MemoryDevice device(
        make_ext_image({.options = options, .size = 4 * kMiB, .tree = tree.path()}));
    ExtFilesystem fs(device, ViewAccess::read_write);
    fs.prepare_for_changes();
    FileData data(fs);
    Target target;
    ExtFilesystem::check(
        ext2fs_namei(fs.handle(), EXT2_ROOT_INO, EXT2_ROOT_INO, "file", &target.number), "file");
    for (uint64_t block = 0; block < kFileBlocks; block += 2) {
        data.write(target.number, block * 1024, noise(1024, block));
    }
    fs.flush();
    const uint64_t inode = ext2fs_inode_table_loc(fs.handle(), 0) * 1024 +
                           (target.number - 1) * EXT2_INODE_SIZE(fs.handle()->super);
    for (uint64_t i = 0; i < kMapRootSize; ++i) {
        target.places.push_back(inode + offsetof(ext2_inode, i_block) + i);
    }
    target.partition = read_all(device);
    for (uint64_t block = 1; block < target.partition.size() / 1024; ++block) {
        const auto bytes = ConstByteSpan(target.partition).subspan(block * 1024, 1024);
        const bool extents = le16(bytes, 0) == 0xF30A;
        const bool pointers = le32(bytes, 0) != 0 && le32(bytes, 4) == 0 && le32(bytes, 12) == 0 &&
                              le32(bytes, 0) < target.partition.size() / 1024 &&
                              le32(bytes, 8) > le32(bytes, 0);
        for (uint64_t i = 0; (extents || pointers) && i < 60; ++i) {
            target.places.push_back(block * 1024 + i);
        }
    }
    return target;
}

/// Either it works, or it says what is wrong.
template <typename Work>
int attempt(Work work) {
    try {
        work();
        return 0;
    } catch (const std::system_error&) {
        return 1;
    }
}

class HostileMapTest : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Types, HostileMapTest,
                         testing::Values("-t ext4 -b 1024 -O ^metadata_csum", "-t ext2 -b 1024"));

TEST_P(HostileMapTest, IsReadChangedOrRefused) {
    const Target target = make_target(GetParam());
    ASSERT_GT(target.places.size(), kMapRootSize);
    std::mt19937_64 random(5);
    int refused = 0;
    for (int round = 0; round < 150; ++round) {
        Bytes partition = target.partition;
        for (int flips = 0; flips < 3; ++flips) {
            partition[target.places[random() % target.places.size()]] =
                static_cast<std::byte>(random());
        }
        MemoryDevice device(std::move(partition));
        refused += attempt([&] {
            ExtFilesystem fs(device, ViewAccess::read_write);
            fs.prepare_for_changes();
            FileData data(fs);
            Bytes content(kFileBlocks * 1024);
            refused += attempt([&] { data.read(target.number, 0, content); });
            const uint64_t offset = random() % content.size();
            refused += attempt([&] { data.write(target.number, offset, noise(3000, 1)); });
            refused += attempt([&] { data.resize(target.number, offset / 2); });
            refused += attempt([&] { data.resize(target.number, 0); });
        });
    }
    EXPECT_GT(refused, 50);
}

TEST(IndirectMapTest, AMapThatGoesInCirclesIsRefused) {
    Target target = make_target("-t ext2 -b 1024");
    constexpr uint32_t kNode = 3000;
    for (uint64_t i = 0; i < 256; ++i) {
        store(target.partition, kNode * 1024 + i * 4, kNode);
    }
    store(target.partition, target.places[EXT2_TIND_BLOCK * 4], kNode);
    MemoryDevice device(std::move(target.partition));
    ExtFilesystem fs(device, ViewAccess::read_write);
    fs.prepare_for_changes();
    auto inode = fs.inode(target.number);
    try {
        map_blocks(fs, target.number, inode, 0, UINT32_MAX);
        FAIL() << "it was walked";
    } catch (const std::system_error& error) {
        EXPECT_EQ(errno_of(error), EUCLEAN);
        EXPECT_NE(message_of(error).find("twice"), std::string::npos) << message_of(error);
    }
}

TEST(ExtentTreeTest, AFlippedBitInAnExtentBlockIsTold) {
    Target target = make_target("-t ext4 -b 1024");
    for (size_t i = kMapRootSize; i < target.places.size(); i += 60) {
        target.partition[target.places[i] + 30] ^= std::byte{4};
    }
    MemoryDevice device(std::move(target.partition));
    ExtFilesystem fs(device, ViewAccess::read_only);
    FileData data(fs);
    Bytes content(1024);
    try {
        data.read(target.number, 0, content);
        FAIL() << "damage was not seen";
    } catch (const std::system_error& error) {
        EXPECT_EQ(error.code().value(), EUCLEAN);
        EXPECT_NE(std::string(error.what()).find("checksum"), std::string::npos) << error.what();
    }
}

}  // namespace
}  // namespace imgfs
