// Promise 6 of design.md on a disk that is really full.
#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>

#include "fs/store/delta_store.h"
#include "tests/support/delta_rig.h"
#include "tests/support/shell.h"
#include "tests/support/temp_dir.h"

namespace imgfs {
namespace {

namespace fs = std::filesystem;

// A full file system of its own.
class FullDiskTest : public testing::Test {
  protected:
    FullDiskTest() {
        fs::create_directory(disk_);
        run("mount -t tmpfs -o size=24m imgfs-test " + shell_quoted(disk_));
    }
    ~FullDiskTest() override { run("umount " + shell_quoted(disk_)); }

    // Writes blocks until the disk is full; how many fitted.
    uint64_t fill(CowDevice& device, uint64_t first) const {
        uint64_t block = first;
        while (error_of([&] { device.write(block * kBlockSize, noise(kBlockSize, block)); }) == 0) {
            ++block;
        }
        EXPECT_EQ(error_of([&] { device.write(block * kBlockSize, noise(kBlockSize, 1)); }),
                  ENOSPC);
        return block - first;
    }

    const TempDir dir_{memory_directory()};
    const fs::path disk_ = dir_ / "disk";
    const Bytes changed_ = noise(3 * kBlockSize, 2);
    const Bytes large_ = Bytes(64 * kMiB);
};

TEST_F(FullDiskTest, TakesWhatFitsAndRefusesTheRestAndGoesOnWhenThereIsSpace) {
    write_file(disk_ / "other", Bytes(4 * kMiB, std::byte{1}));
    auto opened = open_delta(disk_ / "delta", large_);
    const auto fitted = fill(*opened.device, 0);
    EXPECT_GT(fitted * kBlockSize, 19 * kMiB);
    opened.device->flush();  // the space was there: even for the list of layers
    EXPECT_EQ(opened.store->state().commits, 1U);
    const auto line = describe_full(opened.store->state());
    EXPECT_TRUE(opened.store->state().full_since);
    EXPECT_NE(line.find("delta folder full since "), std::string::npos) << line;
    EXPECT_NE(line.find(" is safe; free space and go on"), std::string::npos) << line;

    fs::remove(disk_ / "other");
    opened.device->write(fitted * kBlockSize, noise(kBlockSize, fitted));
    opened.device->flush();
    EXPECT_FALSE(opened.store->state().full_since);
    opened = {};

    opened = open_delta(disk_ / "delta", large_);
    Bytes block(kBlockSize);
    for (uint64_t i = 0; i <= fitted; ++i) {
        opened.device->read(i * kBlockSize, block);
        ASSERT_EQ(block, noise(kBlockSize, i)) << i;
    }
}

TEST_F(FullDiskTest, AllThatIsPromisedFitsAlsoWhereWritesSplitZeros) {
    const auto opened = open_delta(disk_ / "delta", large_);
    opened.device->discard(0, 60 * kMiB);
    opened.device->reserve(2000 * kBlockSize);
    const fs::path other = disk_ / "other";
    run("head -c 30M /dev/zero > " + shell_quoted(other) + " 2>/dev/null || true");
    for (uint64_t i = 0; i < 2000; ++i) {
        opened.device->write((2 * i + 1) * kBlockSize, noise(kBlockSize, i));
    }
    opened.device->flush();
    EXPECT_EQ(opened.store->state().commits, 1U);
}

TEST_F(FullDiskTest, APromisedWriteNeverFails) {
    const auto opened = open_delta(disk_ / "delta", large_);
    opened.device->reserve(6 * kMiB);
    write_file(disk_ / "other", Bytes(8 * kMiB, std::byte{1}));
    opened.device->write(0, noise(6 * kMiB, 3));
    EXPECT_EQ(error_of([&] { opened.device->reserve(20 * kMiB); }), ENOSPC);
    opened.device->flush();
}

TEST_F(FullDiskTest, ACloseGivesBackWhatIsNotUsed) {
    const auto used = [&] {
        return std::stoull(run("du -s -B1 " + shell_quoted(disk_) + " | cut -f1"));
    };
    auto opened = open_delta(disk_ / "delta", large_);
    opened.device->write(0, changed_);
    opened.device->flush();
    EXPECT_GE(used(), 8 * kMiB);
    opened = {};
    EXPECT_LT(used(), kMiB);
}

TEST_F(FullDiskTest, WhereSpaceCannotBeAllocatedNoMoreIsTakenThanFits) {
    const fs::path ext2 = dir_ / "ext2";  // has no fallocate
    fs::create_directory(ext2);
    const auto file = shell_quoted(dir_ / "partition");
    run("truncate -s 24M " + file + " && mke2fs -q -t ext2 " + file + " && mount -o loop " + file +
        " " + shell_quoted(ext2));
    {
        const auto opened = open_delta(ext2 / "delta", large_);
        EXPECT_GT(fill(*opened.device, 0) * kBlockSize, 15 * kMiB);
        EXPECT_EQ(error_of([&] { opened.device->flush(); }), 0);
    }
    run("umount " + shell_quoted(ext2));
}

TEST_F(FullDiskTest, NoSpaceAtAllIsSaidAndLeavesNothing) {
    EXPECT_NE(shell("head -c 30M /dev/urandom > " + shell_quoted(disk_ / "other")).status, 0);
    {
        const auto opened = open_delta(disk_ / "delta", large_);
        EXPECT_NE(line_of([&] {
                      opened.device->write(0, changed_);
                  }).find("nothing was committed yet; free space and go on"),
                  std::string::npos);
        EXPECT_EQ(read_all(*opened.device), large_);
        fs::remove(disk_ / "other");
        opened.device->write(0, changed_);
    }
    EXPECT_FALSE(fs::exists(disk_ / "delta"));
}

TEST_F(FullDiskTest, AReadOnlyFileSystemIsReadAndNotWritten) {
    {
        const auto opened = open_delta(disk_ / "delta", large_);
        opened.device->write(0, changed_);
        opened.device->flush();
    }
    run("mount -o remount,ro " + shell_quoted(disk_));
    EXPECT_EQ(error_of([&] { open_delta(disk_ / "delta", large_); }), EROFS);
    EXPECT_EQ(error_of([&] { open_delta(disk_ / "new" / "one", large_); }), EROFS);
    const auto opened = open_delta(disk_ / "delta", large_, DeltaAccess::read_only);
    Bytes bytes(changed_.size());
    opened.device->read(0, bytes);
    EXPECT_EQ(bytes, changed_);
}

TEST_F(FullDiskTest, APointThatFindsNoSpaceChangesNothing) {
    const fs::path layer = disk_ / "delta/000001.layer";
    {
        const auto opened = open_delta(
            {.folder = disk_ / "delta", .access = DeltaAccess::read_write, .map_pieces = 16},
            large_);
        for (uint64_t i = 0; i < 1000; ++i) {
            opened.device->write(i * 16 * kBlockSize, noise(kBlockSize, i));
        }
        opened.device->flush();
        shell("head -c 30M /dev/zero > " + shell_quoted(disk_ / "other") + " 2>/dev/null");
        EXPECT_EQ(error_of([&] { opened.device->seal({.name = "a"}); }), ENOSPC);
        EXPECT_FALSE(opened.store->read_only());
        EXPECT_EQ(fs::status(layer).permissions() & fs::perms::owner_write, fs::perms::owner_write);
        fs::remove(disk_ / "other");
        opened.device->write(0, changed_);
        opened.device->flush();
        opened.device->seal({.name = "a"});
    }
    EXPECT_EQ(open_delta(disk_ / "delta", large_, DeltaAccess::read_only).store->points().size(),
              1);
}

}  // namespace
}  // namespace imgfs
