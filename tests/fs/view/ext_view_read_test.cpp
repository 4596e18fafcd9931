#include <gtest/gtest.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <fstream>

#include "fs/base/error.h"
#include "fs/view/ext_view.h"
#include "tests/support/ext_image.h"
#include "tests/support/memory_device.h"
#include "tests/support/memory_source.h"
#include "tests/support/shell.h"
#include "tests/support/temp_dir.h"
#include "tests/support/thrown.h"
#include "tests/support/view_listing.h"

namespace imgfs {
namespace {

constexpr const char* kTypes[] = {
    "-t ext2 -b 1024",
    "-t ext3 -b 2048 -I 128",
    "-t ext4 -b 1024",
    "-t ext4 -b 4096",
    "-t ext4 -b 1024 -O ^metadata_csum,^64bit",
};

/// A tree with one of everything that `mke2fs -d` can copy.
void make_tree(const std::string& folder) {
    run("cd " + folder + R"sh( && umask 022 && mkdir -p a/b/c empty many &&
        head -c 300000 /dev/urandom > a/data && : > a/nothing && echo hello > a/b/hello &&
        ln a/b/hello a/b/c/again && ln -s hello a/b/short &&
        ln -s $(printf 'x/%.0s' {1..40}) a/b/long && ln -s $(printf 'y%.0s' {1..59}) a/b/l59 &&
        ln -s $(printf 'y%.0s' {1..60}) a/b/l60 && mkfifo a/fifo && mknod a/null c 1 3 &&
        mknod a/large c 300 70000 && mknod a/disk b 8 1 && truncate -s 5M a/sparse &&
        printf end >> a/sparse && chmod 4751 a/data && chmod 1777 empty && chown 70001:80002 a/b &&
        touch -d '1931-05-06 07:08:09 UTC' a/nothing && touch -d '2039-01-02 03:04:05 UTC' a/data &&
        for i in $(seq 1 300); do echo $i > many/a-name-that-is-not-short-$i; done &&
        touch "$(printf 'n%.0s' {1..255})" && touch $'tab\there' && touch 'größe' &&
        setfattr -n user.color -v blue a/data && setfattr -n trusted.t -v secret a/data &&
        setfattr -n user.big -v $(printf 'v%.0s' {1..700}) a/b &&
        setfacl -m u:1234:rw,g:5678:r a/b/hello && setfacl -d -m u:4321:rwx a/b)sh");
}

class ExtViewReadTest : public testing::TestWithParam<const char*> {
  protected:
    ExtViewReadTest() {
        make_tree(tree_.path());
        device_.emplace(
            make_ext_image({.options = GetParam(), .size = 24 * kMiB, .tree = tree_.path()}));
        view_ = make_ext_view(*device_, ViewAccess::read_only);
    }

    std::string value_of(const std::string& path, const std::string& name) {
        const auto value = view_->xattr(inode_at(*view_, path), name);
        return value ? std::string(text_of(*value)) : "(none)";
    }

    /// The same by getfattr, from the tree that the image was made of.
    std::string real_value_of(const std::string& path, const std::string& name) {
        const auto file = shell_quoted((tree_ / path).string());
        return run("getfattr --only-values -n " + name + " " + file + " 2>/dev/null");
    }

    TempDir tree_;
    std::optional<MemoryDevice> device_;
    std::unique_ptr<View> view_;
};

INSTANTIATE_TEST_SUITE_P(Types, ExtViewReadTest, testing::ValuesIn(kTypes));

TEST_P(ExtViewReadTest, ShowsTheTreeTheImageWasMadeOf) {
    std::string expected = listing_of(tree_.path().string());
    const std::string in_2039 = std::to_string(2177550245);  // mke2fs keeps the low 32 bits only
    expected.replace(expected.find(in_2039), in_2039.size(),
                     std::to_string(2177550245 - (int64_t{1} << 32)));
    expect_same_lines(listing_of(*view_), expected);
}

TEST_P(ExtViewReadTest, ReadsWhatIsInFiles) {
    for (const char* path :
         {"a/data", "a/nothing", "a/b/c/again", "a/sparse", "many/a-name-that-is-not-short-77"}) {
        std::ifstream file(tree_ / path, std::ios::binary);
        const std::string expected{std::istreambuf_iterator<char>(file), {}};
        const InodeNumber inode = inode_at(*view_, path);
        view_->open(inode);
        EXPECT_TRUE(text_of(content_of(*view_, inode)) == expected) << path;
        view_->close(inode);
    }
    Bytes past(10);
    EXPECT_EQ(view_->read(inode_at(*view_, "a/data"), 1 << 30, past), 0U);
}

TEST_P(ExtViewReadTest, KnowsDeviceNumbersInBothEncodings) {
    EXPECT_EQ(view_->attributes(inode_at(*view_, "a/null")).device, makedev(1, 3));
    EXPECT_EQ(view_->attributes(inode_at(*view_, "a/disk")).device, makedev(8, 1));
    EXPECT_EQ(view_->attributes(inode_at(*view_, "a/large")).device, makedev(300, 70000));
    EXPECT_EQ(view_->attributes(inode_at(*view_, "a/data")).device, 0U);
}

TEST_P(ExtViewReadTest, GivesXattrsAsTheKernelDoes) {
    for (const auto& [path, name] : {std::pair{"a/data", "user.color"},
                                     {"a/data", "trusted.t"},
                                     {"a/b", "user.big"},
                                     {"a/b/hello", "system.posix_acl_access"},
                                     {"a/b", "system.posix_acl_default"}}) {
        EXPECT_EQ(value_of(path, name), real_value_of(path, name)) << path << " " << name;
    }
    auto names = view_->xattr_names(inode_at(*view_, "a/data"));
    std::ranges::sort(names);
    EXPECT_EQ(names, (std::vector<std::string>{"trusted.t", "user.color"}));
    EXPECT_EQ(value_of("a/data", "user.none"), "(none)");
    EXPECT_EQ(value_of("a/data", "strange.name"), "(none)");
    EXPECT_EQ(value_of("empty", "system.posix_acl_default"), "(none)");
}

TEST_P(ExtViewReadTest, ListsDirectoriesWithTypes) {
    const auto entries = view_->entries(inode_at(*view_, "a"));
    ASSERT_GE(entries.size(), 2U);
    EXPECT_EQ(entries[0].name, ".");
    EXPECT_EQ(entries[0].inode, inode_at(*view_, "a"));
    EXPECT_EQ(entries[1].name, "..");
    EXPECT_EQ(entries[1].inode, kRootInode);
    for (const auto& entry : entries) {
        EXPECT_EQ(entry.type, view_->attributes(entry.inode).mode & S_IFMT) << entry.name;
    }
    EXPECT_EQ(view_->entries(inode_at(*view_, "many")).size(), 302U);
}

TEST_P(ExtViewReadTest, AnswersAbsentAndImpossibleNames) {
    EXPECT_FALSE(view_->lookup(kRootInode, "absent"));
    EXPECT_FALSE(view_->lookup(kRootInode, std::string(255, 'x')));
    EXPECT_TRUE(view_->lookup(kRootInode, std::string(255, 'n')));
    EXPECT_EQ(error_of([&] { view_->lookup(kRootInode, std::string(256, 'n')); }), ENAMETOOLONG);
    EXPECT_EQ(error_of([&] { view_->lookup(inode_at(*view_, "a/data"), "x"); }), ENOTDIR);
    EXPECT_EQ(error_of([&] { view_->attributes(5); }), ESTALE);
    EXPECT_EQ(error_of([&] { view_->attributes(4'000'000'000); }), ESTALE);
    EXPECT_EQ(error_of([&] { view_->link_target(inode_at(*view_, "a/data")); }), EINVAL);
}

TEST_P(ExtViewReadTest, RefusesToChangeAnythingReadOnly) {
    EXPECT_TRUE(view_->read_only());
    EXPECT_EQ(error_of([&] { view_->unlink(kRootInode, "tab\there"); }), EROFS);
    EXPECT_EQ(error_of([&] { view_->write(inode_at(*view_, "a/data"), 0, bytes_of("x")); }), EROFS);
    EXPECT_EQ(error_of([&] { view_->make(kRootInode, {.name = "x", .mode = S_IFREG}); }), EROFS);
    view_->commit();
    EXPECT_EQ(device_->commits(), 0);
}

TEST(ExtViewTimesTest, HasNanosecondsAndYearsTo2446) {
    MemoryDevice device(make_ext_image({.options = "-t ext4"}));
    const TempDir folder;
    write_file(folder / "p", device.committed());
    run("cd " + folder.path().string() + R"( && echo x > f && debugfs -w -R 'write f f' p &&
        debugfs -w -R 'set_inode_field f mtime 0x80000000' p &&
        debugfs -w -R 'set_inode_field f mtime_extra 0x1e240b3b' p &&
        debugfs -w -R 'set_inode_field f ctime 0xffffffff' p &&
        debugfs -w -R 'set_inode_field f ctime_extra 0' p)");
    std::ifstream file(folder / "p", std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    MemoryDevice changed(to_bytes(bytes));
    const auto view = make_ext_view(changed, ViewAccess::read_only);
    const auto found = view->lookup(kRootInode, "f").value();
    EXPECT_EQ(found.modified.tv_sec, (int64_t{3} << 32) - (int64_t{1} << 31));
    EXPECT_EQ(found.modified.tv_nsec, 0x1e240b3b >> 2);
    EXPECT_EQ(found.changed.tv_sec, -1);
}

}  // namespace
}  // namespace imgfs
