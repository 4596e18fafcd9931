#include "fs/view/raw_view.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "fs/base/error.h"
#include "tests/support/memory_device.h"
#include "tests/support/memory_source.h"
#include "tests/support/thrown.h"
#include "tests/support/view_listing.h"

namespace imgfs {
namespace {

constexpr size_t kSize = 100'000;

TEST(RawViewTest, ShowsThePartitionAsOneFile) {
    const Bytes content = noise(kSize, 1);
    MemoryDevice device(content);
    const auto view = make_raw_view(device, ViewAccess::read_only);
    EXPECT_EQ(view->entries(kRootInode).size(), 3U);
    const auto file = view->lookup(kRootInode, "partition").value();
    EXPECT_EQ(file.size, kSize);
    EXPECT_EQ(file.mode, S_IFREG | 0400U);
    EXPECT_TRUE(content_of(*view, file.inode) == content);
    Bytes end(20);
    EXPECT_EQ(view->read(file.inode, kSize - 5, end), 5U);
    EXPECT_EQ(view->read(file.inode, kSize + 5, end), 0U);
    EXPECT_FALSE(view->lookup(kRootInode, "other"));
    EXPECT_TRUE(view->read_only());
    EXPECT_EQ(error_of([&] { view->write(file.inode, 0, bytes_of("x")); }), EROFS);
}

TEST(RawViewTest, WritesToThePartitionAndCommits) {
    Bytes content = noise(kSize, 2);
    MemoryDevice device(content);
    const auto view = make_raw_view(device, ViewAccess::read_write);
    const auto file = view->lookup(kRootInode, "partition").value().inode;
    EXPECT_EQ(view->attributes(file).mode, S_IFREG | 0600U);
    view->write(file, 1000, bytes_of("written"));
    EXPECT_TRUE(device.committed() == content);
    view->commit();
    std::ranges::copy(bytes_of("written"), content.begin() + 1000);
    EXPECT_TRUE(device.committed() == content);
    EXPECT_TRUE(content_of(*view, file) == content);
}

TEST(RawViewTest, RefusesWhatAPartitionCannotDo) {
    MemoryDevice device(noise(kSize, 3));
    const auto view = make_raw_view(device, ViewAccess::read_write);
    const auto file = view->lookup(kRootInode, "partition").value().inode;
    EXPECT_EQ(error_of([&] { view->write(file, kSize - 3, bytes_of("four")); }), ENOSPC);
    EXPECT_EQ(error_of([&] { view->change(file, {.size = 5}); }), EPERM);
    EXPECT_EQ(view->change(file, {.size = kSize}).size, kSize);
    EXPECT_EQ(error_of([&] { view->make(kRootInode, {.name = "x", .mode = S_IFREG}); }), EPERM);
    EXPECT_EQ(error_of([&] { view->unlink(kRootInode, "partition"); }), EPERM);
    EXPECT_EQ(error_of([&] {
                  view->rename(kRootInode, "partition", kRootInode, "x", RenameMode::replace);
              }),
              EPERM);
    EXPECT_EQ(error_of([&] { view->set_xattr(file, "user.x", {}, XattrMode::any); }), ENOTSUP);
}

}  // namespace
}  // namespace imgfs
