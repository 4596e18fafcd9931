// Promise 6 of design.md seen from the files: the disk below the delta is full, and that is all.
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>

#include "fs/store/cow_device.h"
#include "fs/store/layer_file.h"
#include "fs/view/ext_view.h"
#include "tests/support/delta_rig.h"
#include "tests/support/ext_image.h"
#include "tests/support/temp_dir.h"
#include "tests/support/view_listing.h"

namespace imgfs {
namespace {

/// A disk that gives no more space while it is full.
class FullDisk final : public FileWatcher {
  public:
    std::atomic<bool> full = false;

    void before(const FileChange& change) override {
        if (full && change.kind == FileChange::Kind::allocate) {
            fail(ENOSPC, "the disk is full");
        }
    }
};

class FullDeltaTest : public ::testing::Test {
  protected:
    FullDeltaTest() : delta_(open_delta(dir_ / "delta", image_, DeltaAccess::read_write, &disk_)) {
        view_ = make_ext_view(*delta_.device, ViewAccess::read_write);
    }

    InodeNumber make_file(const std::string& name) {
        return view_->make(kRootInode, {.name = name, .mode = S_IFREG | 0644}).inode;
    }

    const TempDir dir_;
    const Bytes image_ = make_ext_image({.options = "-t ext2 -b 1024", .size = 64 * kMiB});
    FullDisk disk_;
    OpenDelta delta_;
    std::unique_ptr<View> view_;
};

TEST_F(FullDeltaTest, WhatEndsWithoutAChangeGivesBackWhatWasReservedForIt) {
    const auto directory = view_->make(kRootInode, {.name = "d", .mode = S_IFDIR | 0755}).inode;
    view_->make(directory, {.name = "in it", .mode = S_IFREG | 0644});
    view_->commit();
    disk_.full = true;
    for (int i = 0; i < 300; ++i) {
        ASSERT_EQ(error_of([&] { view_->rmdir(kRootInode, "d"); }), ENOTEMPTY) << i;
    }
    make_file("there is room for this");
    view_->commit();
}

TEST_F(FullDeltaTest, FragmentedFilesAreDeletedAndCutAllTheSame) {
    const Bytes block(1024, std::byte{1});
    for (const auto* name : {"one", "two"}) {
        const auto file = make_file(name);
        for (uint64_t i = 0; i < 1500; ++i) {
            view_->write(file, i * 2 * block.size(), block);
        }
    }
    view_->commit();
    disk_.full = true;
    make_file("acknowledged");
    const auto large = make_file("large");
    uint64_t written = 0;
    const Bytes piece(64 * kKiB, std::byte{2});
    while (error_of([&] { view_->write(large, written, piece); }) == 0) {
        written += piece.size();
    }
    view_->unlink(kRootInode, "one");
    view_->change(inode_at(*view_, "two"), {.size = 5 * block.size()});
    EXPECT_FALSE(view_->read_only());
    EXPECT_TRUE(view_->lookup(kRootInode, "acknowledged"));
    view_->commit();
    expect_e2fsck_clean(read_all(*delta_.device));
}

}  // namespace
}  // namespace imgfs
