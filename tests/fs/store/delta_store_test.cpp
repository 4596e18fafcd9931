// Promises 1, 5, 6 and 9 of design.md.
#include "fs/store/delta_store.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <thread>

#include "fs/source/file_source.h"
#include "tests/support/crash_recorder.h"
#include "tests/support/delta_rig.h"
#include "tests/support/shell.h"
#include "tests/support/temp_dir.h"

namespace imgfs {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kDeviceSize = 64 * kBlockSize;

class DeltaStoreTest : public testing::Test {
  protected:
    std::string listing() const {
        return fs::exists(folder_) ? run("ls -laR --full-time " + shell_quoted(folder_)) : "none";
    }

    void make_delta() {
        auto opened = open_delta(folder_, image_);
        opened.device->write(0, changed_);
        opened.device->flush();
    }

    const TempDir dir_{memory_directory()};
    const fs::path folder_ = dir_ / "imgfs" / "sda1";
    const Bytes image_ = noise(kDeviceSize, 1);
    const Bytes changed_ = noise(3 * kBlockSize, 2);
};

using PromiseOne = DeltaStoreTest;

TEST_F(PromiseOne, OpeningReadOnlyMakesNothing) {
    open_delta(folder_, image_, DeltaAccess::read_only);
    EXPECT_FALSE(fs::exists(dir_ / "imgfs"));
}

TEST_F(PromiseOne, OpeningReadOnlyChangesNothing) {
    make_delta();
    const auto before = listing();
    const auto opened = open_delta(folder_, image_, DeltaAccess::read_only);
    EXPECT_TRUE(opened.store->state().exists);
    EXPECT_EQ(error_of([&] { opened.device->write(0, changed_); }), EROFS);
    opened.device->flush();  // there is nothing to write, so that is no error
    EXPECT_EQ(listing(), before);
}

TEST_F(PromiseOne, ATornTailIsLeftAloneByAReader) {
    make_delta();
    const auto layer = folder_ / "000001.layer";
    fs::resize_file(layer, fs::file_size(layer) + 5000);
    const auto before = listing();
    EXPECT_NE(read_all(*open_delta(folder_, image_, DeltaAccess::read_only).device), image_);
    EXPECT_EQ(listing(), before);
}

TEST_F(PromiseOne, AWriterThatChangesNothingLeavesNothing) {
    {
        const auto opened = open_delta(folder_, image_);
        read_all(*opened.device);
        opened.device->flush();
        EXPECT_FALSE(opened.store->state().exists);
    }
    EXPECT_FALSE(fs::exists(dir_ / "imgfs"));
}

TEST_F(PromiseOne, ChangesThatWereNeverCommittedLeaveNothing) {
    {
        const auto opened = open_delta(folder_, image_);
        opened.device->write(0, changed_);
        EXPECT_FALSE(fs::exists(folder_ / "layers"));
    }
    EXPECT_FALSE(fs::exists(dir_ / "imgfs"));
}

TEST_F(PromiseOne, OtherFilesInTheFolderAreLeftAlone) {
    fs::create_directories(folder_);
    write_file(folder_ / "index", changed_);
    open_delta(folder_, image_);
    EXPECT_EQ(read_file(folder_ / "index", kMiB), changed_);
    EXPECT_FALSE(fs::exists(folder_ / "lock"));
}

TEST_F(PromiseOne, TheImageIsNotTouched) {
    const auto path = dir_ / "image";
    write_file(path, image_);
    const auto stat = "stat -c '%s %y %z' " + shell_quoted(path);
    const auto before = run(stat);
    {
        DeltaStore store({.folder = folder_,
                          .device_size = kDeviceSize,
                          .access = DeltaAccess::read_write,
                          .use = "a test"});
        CowDevice device(std::make_unique<FileSource>(path), store);
        device.write(100, changed_);
        device.flush();
    }
    EXPECT_EQ(read_file(path, kMiB), image_);
    EXPECT_EQ(run(stat), before);
}

TEST_F(DeltaStoreTest, TellsWhatItHolds) {
    auto opened = open_delta(folder_, image_);
    EXPECT_FALSE(opened.store->state().exists);
    opened.device->write(0, changed_);
    opened.device->flush();
    opened.device->flush();  // nothing new: no commit
    opened.device->discard(0, kBlockSize);
    opened.device->flush();
    const auto state = opened.store->state();
    EXPECT_TRUE(state.exists);
    EXPECT_EQ(state.commits, 2U);
    const auto age = std::chrono::system_clock::now() - state.last_commit.value();
    EXPECT_LT(age, std::chrono::minutes(5));
    opened = {};
    EXPECT_EQ(state.stored_bytes, fs::file_size(folder_ / "000001.layer"));
    EXPECT_EQ(open_delta(folder_, image_).store->state().commits, 2U);
}

TEST_F(DeltaStoreTest, DropsWhatWasNotCommitted) {
    auto opened = open_delta(folder_, image_);
    opened.device->write(0, changed_);
    opened.device->flush();
    const auto committed = read_all(*opened.device);
    opened.device->write(kBlockSize, noise(kBlockSize, 5));
    opened.device->cut();
    opened.device->write(9 * kBlockSize, noise(kBlockSize, 6));
    opened.device->drop_uncommitted();
    EXPECT_EQ(read_all(*opened.device), committed);
    EXPECT_EQ(error_of([&] { opened.device->write(0, changed_); }), EROFS);
    opened = {};
    EXPECT_EQ(read_all(*open_delta(folder_, image_).device), committed);
}

TEST_F(DeltaStoreTest, ManyZerosTakeNoSpace) {
    auto opened = open_delta(folder_, image_);
    opened.device->discard(0, kDeviceSize / 2);
    opened.device->write(kDeviceSize / 2, Bytes(kDeviceSize / 2));
    opened.device->flush();
    EXPECT_EQ(opened.store->state().stored_bytes, 8192U + 3 * 4096U);
    EXPECT_EQ(read_all(*opened.device), Bytes(kDeviceSize));
}

TEST_F(DeltaStoreTest, WhatPacksWellIsPackedAndTheRestIsNot) {
    auto opened = open_delta(folder_, image_);
    const auto half = round_down(kDeviceSize / 2, kBlockSize);
    opened.device->write(0, Bytes(half, std::byte{'x'}));
    opened.device->flush();
    const auto packed = opened.store->state().stored_bytes;
    EXPECT_LT(packed, 8192 + 4 * kBlockSize);
    opened.device->write(half, noise(half, 7));
    opened.device->flush();
    EXPECT_GE(opened.store->state().stored_bytes, packed + half);
    auto model = image_;
    std::ranges::fill(ByteSpan(model).first(half), std::byte{'x'});
    std::ranges::copy(noise(half, 7), model.begin() + std::ptrdiff_t(half));
    EXPECT_TRUE(same(read_all(*opened.device), model));
    Bytes part(9);
    opened.device->read(3 * kBlockSize + 5, part);
    EXPECT_EQ(part, Bytes(9, std::byte{'x'}));
}

TEST_F(DeltaStoreTest, ALinkThatLeadsNowhereIsAnError) {
    std::filesystem::create_symlink(dir_ / "unplugged", dir_ / "link");
    EXPECT_EQ(error_of([&] { open_delta(dir_ / "link", image_); }), ENOTDIR);
}

TEST_F(DeltaStoreTest, PromiseNineRefusesAnotherImage) {
    make_delta();
    const auto line = line_of([&] { open_delta(folder_, noise(kDeviceSize, 77)); });
    EXPECT_NE(line.find("belongs to another image"), std::string::npos) << line;
    EXPECT_NE(line.find("--delta"), std::string::npos) << line;
    EXPECT_EQ(error_of([&] { open_delta(folder_, noise(kDeviceSize - 4096, 1)); }), EUCLEAN);
}

// What differs behind the bitmap and the first MiB is known once the image is indexed.
TEST_F(DeltaStoreTest, PromiseNineRefusesOtherContentAsSoonAsItIsKnown) {
    Hash128 content{};
    const auto open = [&](DeltaAccess access) {
        return std::make_unique<DeltaStore>(DeltaOptions{.folder = folder_,
                                                         .device_size = kDeviceSize,
                                                         .content = [&] { return content; },
                                                         .access = access,
                                                         .use = "a test"});
    };
    const auto change = [&] {
        const auto store = open(DeltaAccess::read_write);
        CowDevice device(std::make_unique<MemorySource>(image_), *store);
        device.write(0, Bytes(4096));
        device.flush();
    };
    change();  // made while nothing was known
    content[3] = std::byte{1};
    open(DeltaAccess::read_only);
    content[3] = std::byte{2};
    open(DeltaAccess::read_only);  // reading binds nothing
    content[3] = std::byte{1};
    change();
    content[3] = std::byte{2};
    EXPECT_EQ(error_of([&] { open(DeltaAccess::read_only); }), EUCLEAN);
    EXPECT_EQ(error_of(change), EUCLEAN);
    content = {};
    const auto store = open(DeltaAccess::read_write);
    CowDevice device(std::make_unique<MemorySource>(image_), *store);
    content[3] = std::byte{2};  // known after it was opened
    EXPECT_EQ(error_of([&] { device.write(0, Bytes(4096)); }), EUCLEAN);
    content[3] = std::byte{1};
    device.write(0, Bytes(4096));
}

using PromiseFive = DeltaStoreTest;

TEST_F(PromiseFive, TheSecondWriterIsToldWhoIsTheFirst) {
    const auto opened = open_delta(folder_, image_);
    const auto line = line_of([&] { open_delta(folder_, image_); });
    EXPECT_NE(line.find("in use read/write by " + run("id -un | tr -d '\\n'") + "@" +
                        run("hostname | tr -d '\\n'") + ", pid " + std::to_string(::getpid()) +
                        ", a test, since "),
              std::string::npos)
        << line;
    EXPECT_NE(line.find("use --read-only"), std::string::npos) << line;
    EXPECT_EQ(error_of([&] { open_delta(folder_, image_); }), EBUSY);
}

TEST_F(PromiseFive, AMountpointComesWithTheWayOut) {
    const DeltaStore first({.folder = folder_,
                            .device_size = kDeviceSize,
                            .access = DeltaAccess::read_write,
                            .use = "/mnt"});
    const auto line = line_of([&] { open_delta(folder_, image_); });
    EXPECT_TRUE(line.ends_with("; use --read-only, or there: imgfs umount /mnt")) << line;
}

TEST_F(PromiseFive, ReadersMayComeAlong) {
    const auto writer = open_delta(folder_, image_);
    writer.device->write(0, changed_);
    writer.device->flush();
    const auto committed = read_all(*writer.device);
    writer.device->write(0, noise(kBlockSize, 8));
    EXPECT_EQ(read_all(*open_delta(folder_, image_, DeltaAccess::read_only).device), committed);
}

TEST_F(PromiseFive, ADeadHolderLetsGo) {
    const auto child = ::fork();
    if (child == 0) {
        const auto opened = open_delta(folder_, image_);
        opened.device->write(0, changed_);
        opened.device->flush();
        ::_exit(0);  // as if killed: nothing is closed
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_EQ(status, 0);
    const auto opened = open_delta(folder_, image_);
    EXPECT_EQ(opened.store->state().commits, 1U);
}

// Each child adds one commit or finds the delta in use; none is lost.
TEST_F(PromiseFive, RacingWritersNeverShareADelta) {
    uint64_t commits = 0;
    for (int round = 0; round < 60; ++round) {
        std::array<pid_t, 2> children{};
        for (auto& child : children) {
            child = ::fork();
            if (child == 0) {
                const auto error = error_of([&] {
                    const auto opened = open_delta(folder_, image_);
                    opened.device->write(0, noise(kBlockSize, static_cast<uint64_t>(::getpid())));
                    opened.device->flush();
                });
                ::_exit(error);
            }
        }
        for (const auto child : children) {
            int status = 0;
            ASSERT_EQ(::waitpid(child, &status, 0), child);
            ASSERT_TRUE(WIFEXITED(status));
            ASSERT_TRUE(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == EBUSY)
                << WEXITSTATUS(status);
            commits += WEXITSTATUS(status) == 0 ? 1U : 0U;
        }
    }
    EXPECT_EQ(open_delta(folder_, image_).store->state().commits, commits);
    EXPECT_GE(commits, 60U);
}

// A reader that comes while a writer goes on finds a commit, not damage.
TEST_F(PromiseFive, ReadersOpenWhileAWriterCommits) {
    const auto writer = open_delta(folder_, image_);
    std::atomic<bool> done = false;
    std::thread writing([&] {
        for (uint64_t i = 1; i <= 150; ++i) {
            writer.device->write(0, Bytes(40 * kBlockSize, std::byte(i)));
            writer.device->flush();
        }
        done = true;
    });
    while (!done) {
        const auto reader = open_delta(folder_, image_, DeltaAccess::read_only);
        const auto commits = reader.store->state().commits;
        Bytes bytes(40 * kBlockSize);
        reader.device->read(0, bytes);
        EXPECT_TRUE(commits == 0 ? bytes[0] == image_[0]
                                 : bytes == Bytes(bytes.size(), std::byte(commits)));
    }
    writing.join();
}

class PromiseSix : public DeltaStoreTest {
  protected:
    using Kind = FileChange::Kind;

    // From now on the n-th change of that kind fails, and only that.
    void refuse(Kind kind, int nth, int with) {
        recorder_.refusal = with;
        recorder_.refuse = [kind, nth](const FileChange& change) mutable {
            return change.kind == kind && --nth == 0;
        };
    }

    // A delta with one commit, and a second one that fails.
    void expect_stops(Kind kind, int nth) {
        auto opened = open_delta(folder_, image_, DeltaAccess::read_write, &recorder_);
        opened.device->write(0, changed_);
        opened.device->flush();
        opened.device->write(5 * kBlockSize, changed_);
        const auto written = read_all(*opened.device);
        refuse(kind, nth, EIO);
        EXPECT_EQ(error_of([&] { opened.device->flush(); }), EIO);
        const auto changes = recorder_.count();

        EXPECT_EQ(read_all(*opened.device), written);
        EXPECT_NE(line_of([&] { opened.device->write(0, changed_); }).find("refused by the test"),
                  std::string::npos);
        EXPECT_EQ(error_of([&] { opened.device->discard(0, kBlockSize); }), EROFS);
        EXPECT_EQ(error_of([&] { opened.device->reserve(1); }), EROFS);
        EXPECT_EQ(error_of([&] { opened.device->flush(); }), EROFS);
        EXPECT_EQ(error_of([&] { opened.device->sync(); }), EROFS);
        opened.device->drop_uncommitted();
        opened = {};
        EXPECT_EQ(recorder_.count(), changes) << "a file was changed after the failure";

        const auto reopened = open_delta(folder_, image_);
        EXPECT_GE(reopened.store->state().commits, 1U);
        reopened.device->write(0, changed_);
        reopened.device->flush();
    }

    CrashRecorder recorder_;
};

TEST_F(PromiseSix, AFailedWriteOfARecordStopsTheStore) {
    expect_stops(Kind::write, 1);
}

TEST_F(PromiseSix, AFailedWriteOfACommitStopsTheStore) {
    expect_stops(Kind::write, 2);
}

TEST_F(PromiseSix, AFailedFirstSyncIsNotRepeated) {
    expect_stops(Kind::sync, 1);
}

TEST_F(PromiseSix, AFailedSecondSyncIsNotRepeated) {
    expect_stops(Kind::sync, 2);
}

TEST_F(PromiseSix, AFullDiskIsSaidBeforeAnythingIsChanged) {
    const auto opened = open_delta(folder_, image_, DeltaAccess::read_write, &recorder_);
    opened.device->write(0, changed_);
    opened.device->flush();
    const auto before = read_all(*opened.device);
    recorder_.refusal = ENOSPC;
    recorder_.refuse = [](const FileChange& change) { return change.kind == Kind::allocate; };
    EXPECT_EQ(error_of([&] { opened.device->reserve(20 * kMiB); }), ENOSPC);
    recorder_.refuse = nullptr;
    EXPECT_EQ(read_all(*opened.device), before);
    opened.device->write(9 * kBlockSize, changed_);
    opened.device->flush();
}

}  // namespace
}  // namespace imgfs
