// Promise 5 of design.md: two writers never share a delta.
#include "fs/store/delta_lock.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>

#include "fs/base/fd.h"
#include "tests/support/delta_rig.h"
#include "tests/support/temp_dir.h"

namespace imgfs {
namespace {

class DeltaLockTest : public testing::Test {
  protected:
    OpenDelta open(OtherHosts others = OtherHosts::respected) const {
        return open_delta(
            {.folder = folder_, .access = DeltaAccess::read_write, .other_hosts = others}, image_);
    }

    void write_lock(const std::string& host, const std::string& pid) const {
        write_file(folder_ / "lock", bytes_of("user anna\nhost " + host + "\npid " + pid +
                                              "\nuse /mnt/web1\nsince 1795000000\n"));
    }

    static std::string this_host() {
        std::array<char, 256> name{};
        ::gethostname(name.data(), name.size() - 1);
        return name.data();
    }

    void change(CowDevice& device, uint64_t seed) {
        device.write(0, noise(2 * kBlockSize, seed));
        device.flush();
        model_ = read_all(device);
    }

    const TempDir dir_{memory_directory()};
    const std::filesystem::path folder_ = dir_ / "delta";
    const Bytes image_ = noise(20 * kBlockSize, 1);
    Bytes model_ = image_;
};

TEST_F(DeltaLockTest, AHolderOnAnotherHostIsRespectedUnlessSomebodyHasLooked) {
    change(*open().device, 2);
    write_lock("nas2", "4711");
    const auto line = line_of([&] { open(); });
    EXPECT_EQ(error_of([&] { open(); }), EBUSY);
    EXPECT_NE(line.find("anna@nas2, pid 4711, /mnt/web1, since 2026-11-18"), std::string::npos)
        << line;
    EXPECT_NE(line.find("--break-lock"), std::string::npos) << line;
    EXPECT_TRUE(
        same(read_all(*open_delta(folder_, image_, DeltaAccess::read_only).device), model_));
    change(*open(OtherHosts::overridden).device, 3);
    EXPECT_EQ(lock_holder(folder_), std::nullopt) << "given back";
    EXPECT_TRUE(same(read_all(*open().device), model_));
}

TEST_F(DeltaLockTest, ADeadHolderOnThisHostIsTakenOver) {
    change(*open().device, 2);
    write_lock(this_host(), "999999999");
    EXPECT_EQ(lock_holder(folder_), std::nullopt);
    EXPECT_EQ(error_of([&] { open(); }), 0);
    write_lock(this_host(), std::to_string(::getpid()));  // a number that is used again
    EXPECT_EQ(error_of([&] { open(); }), 0) << "nobody has locked it";
}

TEST_F(DeltaLockTest, TheHolderIsKnown) {
    const auto opened = open();
    const auto holder = lock_holder(folder_);
    ASSERT_TRUE(holder);
    EXPECT_EQ(holder->pid, std::to_string(::getpid()));
    EXPECT_EQ(holder->use, "a test");
}

// As in a network folder where both have got the lock.
TEST_F(DeltaLockTest, AWriterThatLostTheDeltaStopsBeforeItsNextCommit) {
    auto first = open();
    change(*first.device, 2);
    std::filesystem::remove(folder_ / "lock");
    {
        auto second = open();
        change(*second.device, 3);
        first.device->write(9 * kBlockSize, noise(kBlockSize, 4));
        EXPECT_EQ(error_of([&] { first.device->flush(); }), ESTALE);
        EXPECT_EQ(error_of([&] { first.device->write(0, noise(1, 4)); }), EROFS);
        EXPECT_NE(first.store->why_read_only().find("taken over by"), std::string::npos);
        first = {};
        change(*second.device, 5);
    }
    EXPECT_TRUE(same(read_all(*open().device), model_));
}

TEST_F(DeltaLockTest, AWriterThatLostTheDeltaLeavesItAloneWhenItEnds) {
    auto first = open();
    change(*first.device, 2);
    std::filesystem::remove(folder_ / "lock");
    auto second = open();
    change(*second.device, 3);
    first = {};
    EXPECT_TRUE(lock_holder(folder_)) << "the second one's";
    second = {};
    EXPECT_TRUE(same(read_all(*open().device), model_));
}

TEST_F(DeltaLockTest, AWriterThatLostTheDeltaMakesNoPoint) {
    auto first = open();
    change(*first.device, 2);
    std::filesystem::remove(folder_ / "lock");
    auto second = open();
    EXPECT_EQ(error_of([&] { first.device->seal({.name = "a"}); }), ESTALE);
    EXPECT_EQ(second.store->points().size(), 0);
}

TEST_F(DeltaLockTest, AWriterThatLostTheDeltaMakesAndRemovesNoFile) {
    auto first = open();
    change(*first.device, 2);
    first.device->seal({.name = "a"});
    std::filesystem::remove(folder_ / "lock");
    auto second = open();
    change(*second.device, 3);  // the layer that would be the first one's next
    EXPECT_EQ(error_of([&] { first.device->write(0, noise(kBlockSize, 4)); }), ESTALE);
    EXPECT_NE(first.store->why_read_only().find("taken over by"), std::string::npos);
    first.store->drop_merge();
    first = {};
    change(*second.device, 5);
    second = {};
    EXPECT_TRUE(same(read_all(*open().device), model_));
}

}  // namespace
}  // namespace imgfs
