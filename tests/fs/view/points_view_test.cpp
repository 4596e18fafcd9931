// Recovery points as folders, over views in memory.
#include "fs/view/points_view.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <set>
#include <thread>

#include "tests/support/memory_source.h"
#include "tests/support/memory_view.h"
#include "tests/support/thrown.h"
#include "tests/support/view_listing.h"

namespace imgfs {
namespace {

/// Points "p0", "p1" … whose views hold a file `number` with that many bytes, and a link to it.
class PointsViewTest : public testing::Test {
  protected:
    std::unique_ptr<View> make_view(size_t points) {
        std::vector<PointFolder> folders;
        for (size_t i = 0; i < points; ++i) {
            folders.push_back({"p" + std::to_string(i), {.tv_sec = static_cast<time_t>(1000 + i)}});
        }
        return make_points_view(folders, [this](size_t point) {
            ++opened_;
            return make_point(point);
        });
    }

    static std::shared_ptr<View> make_point(size_t point) {
        auto view = std::make_shared<MemoryView>();
        const auto folder = view->make(kRootInode, {.name = "d", .mode = S_IFDIR | 0755}).inode;
        const auto file = view->make(folder, {.name = "number", .mode = S_IFREG | 0644}).inode;
        view->write(file, 0, noise(point + 1, 1));
        view->set_xattr(file, "user.point", noise(point + 1, 2), XattrMode::any);
        view->link(file, folder, "same");
        view->make(folder, {.name = "link", .mode = S_IFLNK | 0777, .link_target = "number"});
        return view;
    }

    int opened_ = 0;
};

TEST_F(PointsViewTest, EachPointIsAFolderWithItsFiles) {
    const auto view = make_view(3);
    for (size_t i = 0; i < 3; ++i) {
        const auto folder = "p" + std::to_string(i);
        const auto file = inode_at(*view, folder + "/d/number");
        EXPECT_EQ(content_of(*view, file), noise(i + 1, 1));
        EXPECT_EQ(view->xattr(file, "user.point"), noise(i + 1, 2));
        EXPECT_EQ(view->xattr_names(file).size(), 1U);
        EXPECT_EQ(view->link_target(inode_at(*view, folder + "/d/link")), "number");
        EXPECT_EQ(inode_at(*view, folder + "/d/same"), file);
        EXPECT_EQ(view->attributes(file).inode, file);
        const auto root = view->attributes(inode_at(*view, folder));
        EXPECT_EQ(root.modified.tv_sec, static_cast<time_t>(1000 + i));
    }
    EXPECT_FALSE(view->lookup(kRootInode, "p3"));
    EXPECT_FALSE(view->lookup(inode_at(*view, "p1"), "x"));
    EXPECT_TRUE(view->read_only());
}

TEST_F(PointsViewTest, ThePointsAreListedWithoutOpeningThem) {
    const auto view = make_view(50);
    const auto entries = view->entries(kRootInode);
    ASSERT_EQ(entries.size(), 52U);
    EXPECT_EQ(entries[0].name, ".");
    EXPECT_EQ(entries[51].name, "p49");
    EXPECT_EQ(view->attributes(kRootInode).links, 52U);
    EXPECT_EQ(opened_, 0);
}

TEST_F(PointsViewTest, NoTwoFilesHaveOneNumber) {
    const auto view = make_view(50);
    std::set<InodeNumber> numbers = {kRootInode};
    for (const auto& point : view->entries(kRootInode)) {
        if (point.name.starts_with('.')) {
            continue;
        }
        EXPECT_TRUE(numbers.insert(point.inode).second);
        for (const auto& entry : view->entries(point.inode)) {
            const bool is_known = entry.name == "." || entry.name == "..";
            EXPECT_NE(numbers.insert(entry.inode).second, is_known) << entry.name;
        }
        EXPECT_EQ(view->entries(point.inode)[1].inode, kRootInode) << "the way out";
    }
    EXPECT_EQ(numbers.size(), 1 + 50 + 50);
}

TEST_F(PointsViewTest, TheLastOnesUsedStayOpen) {
    const auto view = make_view(40);
    const auto first = inode_at(*view, "p0/d/number");
    for (int i = 1; i < 40; ++i) {
        inode_at(*view, "p" + std::to_string(i) + "/d/number");
        view->attributes(first);
    }
    EXPECT_EQ(opened_, 40) << "the first one is used all the time";
    view->open(inode_at(*view, "p1/d/number"));
    EXPECT_EQ(opened_, 41) << "and this one had to go";
}

TEST_F(PointsViewTest, NothingCanBeChanged) {
    const auto view = make_view(2);
    const auto file = inode_at(*view, "p0/d/number");
    EXPECT_EQ(error_of([&] { view->write(file, 0, noise(1, 1)); }), EROFS);
    EXPECT_EQ(error_of([&] { view->make(kRootInode, {.name = "x", .mode = S_IFREG}); }), EROFS);
    EXPECT_EQ(error_of([&] { view->unlink(inode_at(*view, "p0/d"), "number"); }), EROFS);
    EXPECT_EQ(error_of([&] { view->change(file, {.mode = 0}); }), EROFS);
    view->commit();
}

TEST_F(PointsViewTest, WhatIsNotThereIsRefused) {
    const auto view = make_view(2);
    EXPECT_EQ(error_of([&] { view->attributes(3); }), ESTALE);
    EXPECT_EQ(error_of([&] { view->entries(uint64_t{3} << 32 | 2); }), ESTALE);
    EXPECT_NE(error_of([&] { view->open(uint64_t{1} << 32 | 999); }), 0);
    EXPECT_EQ(error_of([&] { view->lookup(kRootInode, std::string(256, 'x')); }), ENAMETOOLONG);
    Bytes byte(1);
    EXPECT_EQ(error_of([&] { view->read(kRootInode, 0, byte); }), EISDIR);
    EXPECT_EQ(error_of([&] { view->link_target(kRootInode); }), EINVAL);
    EXPECT_FALSE(view->xattr(kRootInode, "user.x"));
}

TEST_F(PointsViewTest, ThreadsReadManyPointsAtOnce) {
    const auto view = make_view(40);
    std::vector<std::thread> threads;
    for (size_t start = 0; start < 4; ++start) {
        threads.emplace_back([&, start] {
            for (size_t i = 0; i < 200; ++i) {
                const auto point = (start * 17 + i * 7) % 40;
                const auto file = inode_at(*view, "p" + std::to_string(point) + "/d/number");
                EXPECT_EQ(view->attributes(file).size, point + 1);
            }
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
}

}  // namespace
}  // namespace imgfs
