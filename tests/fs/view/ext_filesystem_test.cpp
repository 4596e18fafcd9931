#include "fs/view/ext_filesystem.h"

#include <gtest/gtest.h>

#include "fs/base/error.h"
#include "tests/support/ext_image.h"
#include "tests/support/memory_device.h"
#include "tests/support/memory_source.h"
#include "tests/support/temp_dir.h"
#include "tests/support/thrown.h"

namespace imgfs {
namespace {

std::string refusal(Bytes partition, ViewAccess access, int code) {
    MemoryDevice device(std::move(partition));
    try {
        const ExtFilesystem fs(device, access);
    } catch (const std::system_error& error) {
        EXPECT_EQ(error.code().value(), code) << error.what();
        return message_of(error);
    }
    return "not refused";
}

constexpr auto kReadOnly = ViewAccess::read_only;
constexpr auto kReadWrite = ViewAccess::read_write;

class ExtDefaultsTest : public testing::TestWithParam<std::string> {};

INSTANTIATE_TEST_SUITE_P(Types, ExtDefaultsTest,
                         testing::Values("-t ext2 -b 1024", "-t ext2 -b 4096", "-t ext3 -b 2048",
                                         "-t ext4 -b 1024", "-t ext4 -b 2048", "-t ext4 -b 4096",
                                         "-t ext4 -I 128", "-t ext4 -O ^metadata_csum,uninit_bg"));

TEST_P(ExtDefaultsTest, CanBeOpenedReadWriteAndFlushed) {
    MemoryDevice device(make_ext_image({.options = GetParam()}));
    ExtFilesystem fs(device, kReadWrite);
    fs.prepare_for_changes();
    EXPECT_EQ(fs.inode(EXT2_ROOT_INO).i_mode & S_IFMT, S_IFDIR);
    fs.flush();
    EXPECT_EQ(device.dirty_bytes(), 0U) << "nothing was changed";

    blk64_t block = 0;
    ExtFilesystem::check(ext2fs_new_block2(fs.handle(), 5000, nullptr, &block), "a block");
    ext2fs_block_alloc_stats2(fs.handle(), block, +1);
    ext2fs_block_alloc_stats2(fs.handle(), block, -1);
    fs.flush();
    EXPECT_LE(device.dirty_bytes(), uint64_t{3} * fs.block_size() + 1024)
        << "only what differs is written";
    expect_e2fsck_clean(read_all(device));
}

TEST(ExtFilesystemTest, WritesOnlyTheBitmapThatChanged) {
    MemoryDevice device(make_ext_image({.options = "-t ext4 -b 1024", .size = 64 * kMiB}));
    ExtFilesystem fs(device, kReadWrite);
    fs.prepare_for_changes();
    ASSERT_GE(fs.handle()->group_desc_count, 8U);
    blk64_t block = 0;
    ExtFilesystem::check(ext2fs_new_block2(fs.handle(), 30000, nullptr, &block), "a block");
    ext2fs_block_alloc_stats2(fs.handle(), block, +1);
    fs.flush();
    // A block bitmap, a block of descriptors, the superblock.
    EXPECT_LE(device.dirty_bytes(), 3 * kKiB);
    EXPECT_GT(device.dirty_bytes(), 2 * kKiB);
    device.flush();
    fs.flush();
    EXPECT_EQ(device.dirty_bytes(), 0U) << "the second flush has nothing to write";
}

TEST(ExtFilesystemTest, OpensWhatItHasWritten) {
    MemoryDevice device(make_ext_image({.options = "-t ext4"}));
    {
        ExtFilesystem fs(device, kReadWrite);
        fs.prepare_for_changes();
        auto root = fs.inode(EXT2_ROOT_INO);
        root.i_mode = S_IFDIR | 0711;
        fs.write_inode(EXT2_ROOT_INO, root);
        fs.flush();
    }
    ExtFilesystem again(device, kReadWrite);
    EXPECT_EQ(again.inode(EXT2_ROOT_INO).i_mode, S_IFDIR | 0711);
    expect_e2fsck_clean(read_all(device));
}

TEST(ExtFilesystemTest, RefusesFeaturesByName) {
    for (const std::string name : {"inline_data", "encrypt", "casefold", "ea_inode"}) {
        const auto image = make_ext_image({.options = "-t ext4 -O " + name});
        for (const auto access : {kReadOnly, kReadWrite}) {
            EXPECT_NE(refusal(image, access, ENOTSUP).find("'" + name + "'"), std::string::npos)
                << refusal(image, access, ENOTSUP);
        }
    }
    for (const std::string name : {"quota", "project", "bigalloc", "large_dir", "mmp", "verity",
                                   "orphan_file", "meta_bg,^resize_inode"}) {
        const auto image = make_ext_image({.options = "-t ext4 -O " + name});
        const auto word = name.substr(0, name.find(','));
        EXPECT_NE(refusal(image, kReadWrite, ENOTSUP).find("'" + word + "'"), std::string::npos)
            << refusal(image, kReadWrite, ENOTSUP);
        EXPECT_EQ(refusal(image, kReadOnly, ENOTSUP), "not refused");
    }
}

void set_superblock32(Bytes& image, size_t offset, uint32_t bits) {
    store(image, 1024 + offset, le32(image, 1024 + offset) | bits);
}

TEST(ExtFilesystemTest, RefusesUnknownFeaturesByNumber) {
    auto image = make_ext_image({.options = "-t ext3"});
    set_superblock32(image, 0x60, 1U << 27);
    EXPECT_NE(refusal(image, kReadOnly, ENOTSUP).find("'incompat bit 27'"), std::string::npos);
    image = make_ext_image({.options = "-t ext3"});
    set_superblock32(image, 0x64, 1U << 29);
    EXPECT_NE(refusal(image, kReadWrite, ENOTSUP).find("'ro_compat bit 29'"), std::string::npos);
    EXPECT_EQ(refusal(image, kReadOnly, ENOTSUP), "not refused");
}

TEST(ExtFilesystemTest, RefusesAJournalThatNeedsReplay) {
    auto image = make_ext_image({.options = "-t ext3"});
    set_superblock32(image, 0x60, EXT3_FEATURE_INCOMPAT_RECOVER);
    for (const auto access : {kReadOnly, kReadWrite}) {
        EXPECT_NE(refusal(image, access, ENOTSUP).find("'needs_recovery'"), std::string::npos);
    }
}

TEST(ExtFilesystemTest, DoesNotWriteWhatNeedsRepair) {
    const auto image = make_ext_image({.options = "-t ext3"});
    auto errors = image;
    store<uint16_t>(errors, 1024 + 0x3A, EXT2_VALID_FS | EXT2_ERROR_FS);
    auto mounted = image;
    store<uint16_t>(mounted, 1024 + 0x3A, 0);
    auto orphans = image;
    store<uint32_t>(orphans, 1024 + 0xE8, 12);
    for (const auto& wrong : {errors, mounted, orphans}) {
        EXPECT_NE(refusal(wrong, kReadWrite, ENOTSUP).find("e2fsck"), std::string::npos);
        EXPECT_EQ(refusal(wrong, kReadOnly, ENOTSUP), "not refused");
    }
}

TEST(ExtFilesystemTest, TellsWhatIsNoExtFileSystem) {
    for (const size_t size : {0UL, 1500UL, 100000UL}) {
        EXPECT_NE(refusal(noise(size, 1), kReadOnly, EMEDIUMTYPE).find("no ext2"),
                  std::string::npos);
    }
}

TEST(ExtFilesystemTest, TellsDamage) {
    const auto image = make_ext_image({.options = "-t ext4"});
    auto flipped = image;
    flipped[1024 + 0x88] ^= std::byte{1};
    EXPECT_NE(refusal(flipped, kReadOnly, EUCLEAN), "not refused");
    auto cut = image;
    cut.resize(cut.size() / 2);
    EXPECT_NE(refusal(cut, kReadOnly, EUCLEAN).find("more than the partition"), std::string::npos);
}

TEST(ExtFilesystemTest, NamesTheInodeThatIsDamaged) {
    auto image = make_ext_image({.options = "-t ext4"});
    uint64_t table = 0;
    {
        MemoryDevice device(image);
        const ExtFilesystem fs(device, kReadOnly);
        table = ext2fs_inode_table_loc(fs.handle(), 0) * fs.block_size();
    }
    image[table + 256 + 4] ^= std::byte{1};  // the size of inode 2
    MemoryDevice device(image);
    const ExtFilesystem fs(device, kReadOnly);
    try {
        fs.inode(2);
        FAIL() << "damage was not seen";
    } catch (const std::system_error& error) {
        EXPECT_EQ(error.code().value(), EUCLEAN);
        EXPECT_TRUE(message_of(error).starts_with("inode 2: ")) << error.what();
    }
}

/// Fails each read when told so.
class BrokenDevice final : public Device {
  public:
    explicit BrokenDevice(Bytes content) : inner_(std::move(content)) {}
    uint64_t size() const override { return inner_.size(); }
    std::string place(uint64_t offset) const override { return inner_.place(offset); }
    void reserve(uint64_t) override {}
    uint64_t dirty_bytes() const override { return 0; }
    void cut() override {}
    void sync() override {}
    void drop_uncommitted() override {}
    bool read_only() const override { return false; }
    bool broken = false;

  private:
    void read_inside(uint64_t offset, ByteSpan out) const override {
        if (broken) {
            fail(EREMOTEIO, "sda1.gz.ab: the disk is on fire");
        }
        inner_.read(offset, out);
    }
    void write_inside(uint64_t offset, ConstByteSpan bytes) override {
        inner_.write(offset, bytes);
    }
    void discard_inside(uint64_t offset, uint64_t length) override {
        inner_.discard(offset, length);
    }
    MemoryDevice inner_;
};

TEST(ExtFilesystemTest, HandsOnWhatTheDeviceSays) {
    BrokenDevice device(make_ext_image({.options = "-t ext4"}));
    const ExtFilesystem fs(device, kReadOnly);
    device.broken = true;
    try {
        fs.inode(12);
        FAIL() << "the fault was not seen";
    } catch (const std::system_error& error) {
        EXPECT_EQ(error.code().value(), EREMOTEIO);
        EXPECT_EQ(message_of(error), "inode 12: sda1.gz.ab: the disk is on fire");
    }
}

TEST(ExtFilesystemTest, GoesOnReadOnlyFromTheLastCommit) {
    MemoryDevice device(make_ext_image({.options = "-t ext4"}));
    ExtFilesystem fs(device, kReadWrite);
    fs.prepare_for_changes();
    auto root = fs.inode(EXT2_ROOT_INO);
    root.i_mode = S_IFDIR | 0700;
    fs.write_inode(EXT2_ROOT_INO, root);
    fs.flush();
    device.flush();
    root.i_mode = S_IFDIR;
    fs.write_inode(EXT2_ROOT_INO, root);
    device.drop_uncommitted();
    fs.reopen_read_only();
    EXPECT_TRUE(fs.read_only());
    EXPECT_EQ(fs.inode(EXT2_ROOT_INO).i_mode, S_IFDIR | 0700);
    EXPECT_THROW(fs.write_inode(EXT2_ROOT_INO, root), std::system_error);
}

TEST(ExtFilesystemTest, ADamagedInodeIsNeverTakenForAnother) {
    const TempDir tree;
    for (int i = 0; i < 4; ++i) {
        write_file(tree / ("file" + std::to_string(i)), Bytes(static_cast<size_t>(i) + 1));
    }
    MemoryDevice device(make_ext_image({.options = "-t ext4", .tree = tree.path()}));
    const ext2_ino_t first = 12;
    {
        const ExtFilesystem fs(device, kReadOnly);
        const uint64_t table = ext2fs_inode_table_loc(fs.handle(), 0) * fs.block_size();
        device.write(table + (first - 1) * EXT2_INODE_SIZE(fs.handle()->super) + 24, bytes_of("x"));
    }
    const ExtFilesystem fs(device, kReadOnly);
    fs.inode(EXT2_ROOT_INO);
    for (ext2_ino_t number = first + 1; number < first + 4; ++number) {
        fs.inode(number);  // with the root they are all that libext2fs keeps
    }
    EXPECT_EQ(error_of([&] { fs.inode(first); }), EUCLEAN);
    EXPECT_EQ(fs.inode(EXT2_ROOT_INO).i_mode & S_IFMT, S_IFDIR);
}

}  // namespace
}  // namespace imgfs
