#include "fs/transfer/restore.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "fs/base/error.h"
#include "fs/base/fd.h"
#include "tests/support/memory_source.h"
#include "tests/support/shell.h"
#include "tests/support/temp_dir.h"

namespace imgfs {
namespace {

/// Data, zeros long and short, data up to an odd end.
Bytes mixed_content() {
    Bytes content(9 * kMiB + 1536);
    std::ranges::copy(noise(100'000, 1), content.begin());
    std::ranges::copy(noise(5 * kMiB, 2), content.begin() + 3 * kMiB);
    std::ranges::copy(noise(1536, 3), content.end() - 1536);
    return content;
}

int error_of(const std::function<void()>& action) {
    try {
        action();
    } catch (const std::exception& error) {
        return errno_of(error);
    }
    return 0;
}

class RestoreTest : public testing::Test {
  protected:
    TempDir dir_;
    Bytes content_ = mixed_content();
    MemorySource source_{content_};
};

TEST_F(RestoreTest, AFileIsSparseAndEqual) {
    const auto path = dir_ / "disk.img";
    const auto result = restore(source_, inspect_target(path, source_.size()), {});
    EXPECT_EQ(read_file(path, kGiB), content_);
    EXPECT_EQ(result.written + result.zeros, content_.size());
    EXPECT_GT(result.zeros, 3 * kMiB);
    struct stat status {};
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_LT(static_cast<uint64_t>(status.st_blocks) * 512, content_.size() - 3 * kMiB);
    EXPECT_NO_THROW(compare_restored(source_, path, {}));
}

TEST_F(RestoreTest, AnInterruptedRestoreLeavesTheOldFileAndNothingElse) {
    const auto path = dir_ / "disk.img";
    write_file(path, to_bytes("precious"));
    const auto target = inspect_target(path, source_.size());
    EXPECT_EQ(target.kind, TargetKind::existing_file);
    EXPECT_EQ(error_of([&] {
                  restore(source_, target, [](uint64_t done, uint64_t) {
                      if (done > 4 * kMiB) {
                          fail(ECANCELED, "interrupted");
                      }
                  });
              }),
              ECANCELED);
    EXPECT_EQ(read_file(path, kGiB), to_bytes("precious"));
    EXPECT_EQ(run("ls " + dir_.path().string()), "disk.img\n");
}

TEST_F(RestoreTest, ABlockDeviceIsOverwrittenZerosIncluded) {
    const auto image = dir_ / "device";
    write_file(image, noise(10 * kMiB, 9));
    auto device = run("losetup -f --show " + image.string());
    device.pop_back();
    const auto target = inspect_target(device, source_.size());
    EXPECT_EQ(target.kind, TargetKind::block_device);
    EXPECT_EQ(target.size, 10 * kMiB);
    EXPECT_EQ(error_of([&] { inspect_target(device, 11 * kMiB); }), ENOSPC);
    restore(source_, target, {});
    EXPECT_NO_THROW(compare_restored(source_, device, {}));
    run("losetup -d " + device);
    auto found = read_file(image, kGiB);
    found.resize(content_.size());
    EXPECT_EQ(found, content_);
}

TEST_F(RestoreTest, AMountedDeviceIsRefused) {
    const auto image = dir_ / "device";
    run("truncate -s 16M " + image.string() + "; mke2fs -q -F " + image.string());
    const auto mountpoint = dir_ / "mnt";
    std::filesystem::create_directory(mountpoint);
    auto device = run("losetup -f --show " + image.string());
    device.pop_back();
    run("mount -r " + device + " " + mountpoint.string());
    EXPECT_EQ(error_of([&] { inspect_target(device, source_.size()); }), EBUSY);
    run("umount " + mountpoint.string() + "; losetup -d " + device);
}

TEST_F(RestoreTest, ADifferenceIsFoundWhenReadBack) {
    const auto path = dir_ / "disk.img";
    auto changed = content_;
    changed[5 * kMiB] ^= std::byte{1};
    write_file(path, changed);
    try {
        compare_restored(source_, path, {});
        FAIL() << "the difference was not seen";
    } catch (const std::exception& error) {
        EXPECT_EQ(errno_of(error), EUCLEAN);
        EXPECT_NE(message_of(error).find("5,242,880"), std::string::npos) << message_of(error);
    }
    changed.resize(100);
    write_file(path, changed);
    EXPECT_EQ(error_of([&] { compare_restored(source_, path, {}); }), EUCLEAN);
}

TEST_F(RestoreTest, ADirectoryIsNoTarget) {
    EXPECT_EQ(error_of([&] { inspect_target(dir_.path(), 1); }), EINVAL);
}

TEST_F(RestoreTest, AFullTargetLeavesNothingBehind) {
    const auto mountpoint = dir_ / "small";
    std::filesystem::create_directory(mountpoint);
    run("mount -t tmpfs -o size=2M none " + mountpoint.string());
    EXPECT_EQ(error_of([&] {
                  restore(source_, inspect_target(mountpoint / "disk.img", source_.size()), {});
              }),
              ENOSPC);
    EXPECT_EQ(run("ls " + mountpoint.string()), "");
    run("umount " + mountpoint.string());
}

}  // namespace
}  // namespace imgfs
