#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <set>

#include "fs/base/error.h"
#include "fs/view/ext_view.h"
#include "tests/support/ext_image.h"
#include "tests/support/memory_device.h"
#include "tests/support/memory_source.h"
#include "tests/support/shell.h"
#include "tests/support/temp_dir.h"
#include "tests/support/view_listing.h"

namespace imgfs {
namespace {

std::string name_of(int number) {
    return "a file with a name of some length, number " + std::to_string(number);
}

std::set<std::string> names_in(View& view, InodeNumber directory) {
    std::set<std::string> names;
    for (const auto& entry : view.entries(directory)) {
        EXPECT_TRUE(names.insert(entry.name).second) << entry.name << " is there twice";
    }
    return names;
}

/// A partition whose directory "many" has a hash index, made by e2fsck.
Bytes image_with_index(const std::string& options, int files) {
    const TempDir folder;
    run("cd " + folder.path().string() +
        " && mkdir -p tree/many && cd tree/many && "
        "for i in $(seq " +
        std::to_string(files) +
        "); do echo \"a file with a name of some "
        "length, number $i\"; done | tr '\\n' '\\0' | xargs -0 touch");
    write_file(folder / "p", make_ext_image({.options = options, .tree = folder / "tree"}));
    shell("e2fsck -fyD " + (folder / "p").string());
    std::ifstream file(folder / "p", std::ios::binary);
    return to_bytes(std::string{std::istreambuf_iterator<char>(file), {}});
}

TEST(ExtDirectoryTest, TakesTwentyThousandNamesInAFewSeconds) {
    constexpr int kNames = 20'000;
    MemoryDevice device(make_ext_image({.options = "-t ext4 -b 4096 -N 21000", .size = 64 * kMiB}));
    const auto view = make_ext_view(device, ViewAccess::read_write);
    const auto directory = view->make(kRootInode, {.name = "d", .mode = S_IFDIR | 0755}).inode;
    for (int i = 0; i < kNames; ++i) {
        view->make(directory, {.name = name_of(i), .mode = S_IFREG | 0644});
    }
    view->commit();
    expect_e2fsck_clean(device.committed());
    EXPECT_EQ(names_in(*view, directory).size(), kNames + 2U);
    for (int i = 0; i < kNames; i += 40) {
        EXPECT_TRUE(view->lookup(directory, name_of(i)));
        EXPECT_FALSE(view->lookup(directory, name_of(i + kNames)));
    }
    for (int i = 0; i < kNames; i += 8) {
        view->unlink(directory, name_of(i));
    }
    view->commit();
    expect_e2fsck_clean(device.committed());
    const auto again = make_ext_view(device, ViewAccess::read_only);
    EXPECT_EQ(names_in(*again, directory).size(), kNames * 7 / 8 + 2U);
}

class IndexedDirectoryTest : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Types, IndexedDirectoryTest,
                         testing::Values("-t ext4 -b 1024 -N 4000", "-t ext3 -b 1024 -N 4000"));

TEST_P(IndexedDirectoryTest, StaysWholeAndCleanUnderChanges) {
    constexpr int kFiles = 2500;  // needs an index of two levels
    MemoryDevice device(image_with_index(GetParam(), kFiles));
    ASSERT_NE(debugfs(device.committed(), "htree many").find("Number of entries"),
              std::string::npos);
    const auto view = make_ext_view(device, ViewAccess::read_write);
    const auto many = inode_at(*view, "many");
    auto expected = names_in(*view, many);
    EXPECT_EQ(expected.size(), kFiles + 2U);
    for (int i = 1; i <= kFiles; i += 3) {
        view->unlink(many, name_of(i));
        expected.erase(name_of(i));
    }
    view->commit();
    expect_e2fsck_clean(device.committed());
    for (int i = 2; i <= 600; i += 3) {
        view->rename(many, name_of(i), many, name_of(i + 10'000), RenameMode::replace);
        expected.erase(name_of(i));
        expected.insert(name_of(i + 10'000));
    }
    for (int i = 20'000; i < 20'900; ++i) {
        view->make(many, {.name = name_of(i), .mode = S_IFREG | 0644});
        expected.insert(name_of(i));
    }
    view->commit();
    expect_e2fsck_clean(device.committed());
    const auto again = make_ext_view(device, ViewAccess::read_only);
    EXPECT_EQ(names_in(*again, many), expected);
    for (const std::string& name : {name_of(3), name_of(10'002), name_of(20'899)}) {
        EXPECT_NE(debugfs(device.committed(), "stat \"many/" + name + "\"").find("Type: regular"),
                  std::string::npos)
            << name;
    }
}

TEST(ExtDirectoryTest, SaysWhichDirectoryIsDamaged) {
    Bytes partition = make_ext_image({.options = "-t ext2 -b 1024"});
    const auto at = std::ranges::search(partition, bytes_of("lost+found")).begin();
    *(at - 4) = std::byte{7};  // the record's length
    MemoryDevice device(std::move(partition));
    const auto view = make_ext_view(device, ViewAccess::read_only);
    try {
        view->entries(kRootInode);
        FAIL() << "a damaged directory was listed";
    } catch (const std::exception& error) {
        EXPECT_EQ(errno_of(error), EUCLEAN);
        EXPECT_NE(message_of(error).find("directory inode 2, block 0"), std::string::npos)
            << message_of(error);
    }
}

TEST(ExtDirectoryTest, RefusesABlockWithAWrongChecksum) {
    Bytes partition = make_ext_image({.options = "-t ext4 -b 1024"});
    const auto at = std::ranges::search(partition, bytes_of("lost+found")).begin();
    *at = std::byte{'L'};
    MemoryDevice device(std::move(partition));
    const auto view = make_ext_view(device, ViewAccess::read_write);
    try {
        view->lookup(kRootInode, "lost+found");
        FAIL() << "a damaged directory was read";
    } catch (const std::exception& error) {
        EXPECT_EQ(errno_of(error), EUCLEAN);
    }
    EXPECT_FALSE(view->read_only());
}

TEST(ExtDirectoryTest, CountsSubdirectoriesPast65000As1) {
    constexpr int kDirectories = 5;
    const TempDir folder;
    write_file(folder / "p", make_ext_image({.options = "-t ext4 -b 1024"}));
    run("cd " + folder.path().string() +
        " && debugfs -w -R 'mkdir d' p && debugfs -w -R 'set_inode_field d links_count 1' p");
    std::ifstream file(folder / "p", std::ios::binary);
    MemoryDevice device(to_bytes(std::string{std::istreambuf_iterator<char>(file), {}}));
    const auto view = make_ext_view(device, ViewAccess::read_write);
    const auto directory = inode_at(*view, "d");
    for (int i = 0; i < kDirectories; ++i) {
        view->make(directory, {.name = std::to_string(i), .mode = S_IFDIR | 0755});
    }
    EXPECT_EQ(view->attributes(directory).links, kDirectories + 2U);  // few enough to count
    view->commit();
    expect_e2fsck_clean(device.committed());
}

}  // namespace
}  // namespace imgfs
