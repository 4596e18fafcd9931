#include <gtest/gtest.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <thread>

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

class ExtViewChangeTest : public testing::Test {
  protected:
    explicit ExtViewChangeTest(const ExtImage& image = {.options = "-t ext4 -b 1024"})
        : device_(make_ext_image(image)) {
        reopen();
    }

    void reopen() {
        view_.reset();
        view_ = make_ext_view(device_, ViewAccess::read_write);
    }

    InodeNumber make(InodeNumber directory, const std::string& name, uint32_t mode) {
        return view_->make(directory, {.name = name, .mode = mode, .umask = 022}).inode;
    }
    InodeNumber file(const std::string& name) { return make(kRootInode, name, S_IFREG | 0644); }
    InodeNumber directory(const std::string& name) {
        return make(kRootInode, name, S_IFDIR | 0755);
    }

    /// The partition as a crash after a commit now would leave it, checked.
    const Bytes& committed() {
        view_->commit();
        expect_e2fsck_clean(device_.committed());
        return device_.committed();
    }

    MemoryDevice device_;
    std::unique_ptr<View> view_;
};

TEST_F(ExtViewChangeTest, TakesNamesOf255BytesAndRefusesLongerOnes) {
    const std::string longest(255, 'n');
    const std::string longer(256, 'n');
    const auto inode = file(longest);
    EXPECT_TRUE(view_->lookup(kRootInode, longest));
    const std::pair<const char*, std::function<void()>> calls[] = {
        {"lookup", [&] { view_->lookup(kRootInode, longer); }},
        {"make", [&] { file(longer); }},
        {"mkdir", [&] { directory(longer); }},
        {"link", [&] { view_->link(inode, kRootInode, longer); }},
        {"unlink", [&] { view_->unlink(kRootInode, longer); }},
        {"rmdir", [&] { view_->rmdir(kRootInode, longer); }},
        {"rename from",
         [&] { view_->rename(kRootInode, longer, kRootInode, "x", RenameMode::replace); }},
        {"rename to",
         [&] { view_->rename(kRootInode, longest, kRootInode, longer, RenameMode::replace); }},
    };
    for (const auto& [name, call] : calls) {
        EXPECT_EQ(error_of(call), ENAMETOOLONG) << name;
    }
    EXPECT_EQ(error_of([&] { file("."); }), EINVAL);
    EXPECT_EQ(error_of([&] { file("a/b"); }), EINVAL);
    EXPECT_EQ(error_of([&] { file(""); }), EINVAL);
    committed();
}

TEST_F(ExtViewChangeTest, KeepsWhatChmodChownAndUtimesSet) {
    const auto inode = file("f");
    const timespec far{INT64_C(15032385535), 987654321};  // the last second that ext4 knows
    const timespec past{-1000000000, 1};
    view_->change(
        inode, {.mode = 07751, .uid = 70001, .gid = 4000000000, .accessed = past, .modified = far});
    reopen();
    const auto kept = view_->lookup(kRootInode, "f").value();
    EXPECT_EQ(kept.mode, S_IFREG | 07751U);
    EXPECT_EQ(kept.uid, 70001U);
    EXPECT_EQ(kept.gid, 4000000000U);
    EXPECT_EQ(kept.modified.tv_sec, far.tv_sec);
    EXPECT_EQ(kept.modified.tv_nsec, far.tv_nsec);
    EXPECT_EQ(kept.accessed.tv_sec, past.tv_sec);
    EXPECT_EQ(kept.accessed.tv_nsec, past.tv_nsec);
    const auto stat = debugfs(committed(), "stat f");
    EXPECT_NE(stat.find("User: 70001"), std::string::npos) << stat;
    EXPECT_NE(stat.find("Mode:  07751"), std::string::npos) << stat;
}

TEST_F(ExtViewChangeTest, MakesEveryTypeOfFileAsDebugfsReadsIt) {
    const auto make_file = [&](const NewFile& file) { return view_->make(kRootInode, file).inode; };
    const std::string long_target(700, 't');
    make_file({.name = "short", .mode = S_IFLNK, .link_target = "there"});
    make_file({.name = "long", .mode = S_IFLNK, .link_target = long_target});
    make_file({.name = "null", .mode = S_IFCHR | 0666, .device = makedev(1, 3)});
    make_file({.name = "big", .mode = S_IFBLK | 0660, .device = makedev(300, 70000)});
    make_file({.name = "pipe", .mode = S_IFIFO | 0600});
    make_file({.name = "sock", .mode = S_IFSOCK | 0600});
    EXPECT_EQ(error_of([&] { make_file({.name = "x", .mode = S_IFLNK}); }), ENOENT);
    EXPECT_EQ(error_of([&] {
                  make_file({.name = "x", .mode = S_IFLNK, .link_target = std::string(1024, 't')});
              }),
              ENAMETOOLONG);
    EXPECT_EQ(error_of([&] { make_file({.name = "x", .mode = 0644}); }), EINVAL);
    const Bytes partition = committed();
    EXPECT_NE(debugfs(partition, "stat short").find("Fast link dest: \"there\""),
              std::string::npos);
    EXPECT_NE(debugfs(partition, "stat null").find("01:03"), std::string::npos);
    EXPECT_NE(debugfs(partition, "stat big").find("300:70000"), std::string::npos);
    EXPECT_NE(debugfs(partition, "stat pipe").find("Type: FIFO"), std::string::npos);
    EXPECT_NE(debugfs(partition, "stat sock").find("Type: socket"), std::string::npos);
    reopen();
    EXPECT_EQ(view_->link_target(inode_at(*view_, "long")), long_target);
    EXPECT_EQ(view_->attributes(inode_at(*view_, "big")).device, makedev(300, 70000));
}

TEST_F(ExtViewChangeTest, UpdatesTheTimesOfDirectoriesAndNeverAtimeByReading) {
    const auto inside = directory("d");
    const timespec old{1000, 0};
    const auto age = [&](InodeNumber inode) {
        view_->change(inode, {.accessed = old, .modified = old, .changed = old});
    };
    age(inside);
    make(inside, "f", S_IFREG | 0644);
    EXPECT_GT(view_->attributes(inside).modified.tv_sec, old.tv_sec);
    EXPECT_GT(view_->attributes(inside).changed.tv_sec, old.tv_sec);
    age(inside);
    view_->unlink(inside, "f");
    EXPECT_GT(view_->attributes(inside).modified.tv_sec, old.tv_sec);
    age(inside);
    view_->entries(inside);
    view_->lookup(inside, "f");
    EXPECT_EQ(view_->attributes(inside).accessed.tv_sec, old.tv_sec);
}

TEST_F(ExtViewChangeTest, KeepsDeletedFilesThatAreOpenAndFreesThemInCommits) {
    const auto free_before = view_->space().free_blocks;
    const auto inode = file("f");
    const Bytes content = noise(3 * kMiB, 1);
    view_->write(inode, 0, content);
    view_->commit();
    view_->open(inode);
    view_->unlink(kRootInode, "f");
    EXPECT_EQ(view_->attributes(inode).links, 0U);
    for (int i = 0; i < 3; ++i) {
        const Bytes partition = committed();
        EXPECT_EQ(debugfs(partition, "testi <" + std::to_string(inode) + ">"),
                  "Inode " + std::to_string(inode) + " is not in use\n");
        EXPECT_NE(file("other" + std::to_string(i)), inode);
        EXPECT_TRUE(content_of(*view_, inode) == content);
    }
    view_->write(inode, 5, bytes_of("still here"));
    view_->change(inode, {.size = 15});
    Bytes expected(content.begin(), content.begin() + 5);
    std::ranges::copy(bytes_of("still here"), std::back_inserter(expected));
    EXPECT_TRUE(content_of(*view_, inode) == expected);
    view_->close(inode);
    EXPECT_EQ(error_of([&] { view_->attributes(inode); }), ESTALE);
    committed();
    for (int i = 0; i < 3; ++i) {
        view_->unlink(kRootInode, "other" + std::to_string(i));
    }
    EXPECT_EQ(view_->space().free_blocks, free_before);
}

TEST_F(ExtViewChangeTest, DoesNotCommitAgainAndAgainWhileADeletedFileIsOpen) {
    const auto inode = file("f");
    view_->open(inode);
    view_->unlink(kRootInode, "f");
    view_->commit();
    const int commits = device_.commits();
    view_->commit();
    view_->commit();
    EXPECT_EQ(device_.commits(), commits);
    view_->close(inode);
}

TEST_F(ExtViewChangeTest, InheritsAccessControlListsAsTheKernelDoes) {
    const TempDir folder;  // the kernel's own answers
    const auto inside = directory("d");
    run("cd " + folder.path().string() + " && mkdir d && setfacl -d -m u:1234:rwx,g:77:rx,o::- d");
    const auto value = [&](const std::string& path, const char* name) {
        return run("getfattr --only-values -n system.posix_acl_" + std::string(name) + " " +
                   (folder / path).string() + " 2>/dev/null || true");
    };
    const auto ours = [&](InodeNumber inode, const char* name) {
        const auto found = view_->xattr(inode, "system.posix_acl_" + std::string(name));
        return found ? std::string(text_of(*found)) : std::string();
    };
    view_->set_xattr(inside, "system.posix_acl_default", bytes_of(value("d", "default")),
                     XattrMode::any);
    run("cd " + (folder / "d").string() +
        " && umask 027 && touch f && mkdir s && mkfifo p && install -m 0666 /dev/null g");
    const auto check = [&](const std::string& name, InodeNumber inode) {
        EXPECT_EQ(ours(inode, "access"), value("d/" + name, "access")) << name;
        EXPECT_EQ(ours(inode, "default"), value("d/" + name, "default")) << name;
        EXPECT_EQ(std::to_string(view_->attributes(inode).mode),
                  run("printf %d 0x$(stat -c %f " + (folder / ("d/" + name)).string() + ")"))
            << name;
    };
    const auto made = make(inside, "f", S_IFREG | 0666);
    check("f", made);
    check("s", make(inside, "s", S_IFDIR | 0777));
    check("p", make(inside, "p", S_IFIFO | 0666));
    run("chmod 751 " + (folder / "d/f").string());
    view_->change(made, {.mode = 0751});
    check("f", made);
    run("setfacl -m u:5:r,m::rx " + (folder / "d/f").string());
    view_->set_xattr(made, "system.posix_acl_access", bytes_of(value("d/f", "access")),
                     XattrMode::any);
    check("f", made);
    run("setfacl -b " + (folder / "d/f").string());
    view_->remove_xattr(made, "system.posix_acl_access");
    check("f", made);
    EXPECT_EQ(error_of([&] {
                  view_->set_xattr(made, "system.posix_acl_default",
                                   bytes_of(value("d", "default")), XattrMode::any);
              }),
              EACCES);
    EXPECT_EQ(error_of([&] {
                  view_->set_xattr(made, "system.posix_acl_access", bytes_of("nonsense"),
                                   XattrMode::any);
              }),
              EINVAL);
    committed();
}

TEST_F(ExtViewChangeTest, TakesAnAclThatOnlySaysTheModeIntoTheMode) {
    const auto inode = file("f");
    const TempDir folder;
    run("cd " + folder.path().string() + " && touch f && setfacl -m u:1:r f && setfacl -x u:1 f");
    Bytes acl(4 + 3 * 8, std::byte{0xff});
    store<uint32_t>(acl, 0, 2);
    const std::pair<uint16_t, uint16_t> entries[] = {{1, 7}, {4, 5}, {32, 1}};
    for (size_t i = 0; i < 3; ++i) {
        store(acl, 4 + 8 * i, entries[i].first);
        store(acl, 6 + 8 * i, entries[i].second);
    }
    view_->set_xattr(inode, "system.posix_acl_access", acl, XattrMode::any);
    EXPECT_EQ(view_->attributes(inode).mode, S_IFREG | 0751U);
    EXPECT_FALSE(view_->xattr(inode, "system.posix_acl_access"));
}

TEST_F(ExtViewChangeTest, KeepsXattrsUpToABlockAndSaysWhenTheyDoNotFit) {
    const auto inode = file("f");
    view_->set_xattr(inode, "user.small", bytes_of("1"), XattrMode::create);
    view_->set_xattr(inode, "user.large", Bytes(900, std::byte{'l'}), XattrMode::any);
    view_->set_xattr(inode, "security.capability", bytes_of("12345678901234567890"),
                     XattrMode::any);
    EXPECT_EQ(error_of([&] { view_->set_xattr(inode, "user.more", Bytes(200), XattrMode::any); }),
              ENOSPC);
    EXPECT_EQ(error_of([&] { view_->set_xattr(inode, "user.huge", Bytes(70000), XattrMode::any); }),
              E2BIG);
    EXPECT_EQ(error_of([&] { view_->set_xattr(inode, "strange.x", {}, XattrMode::any); }), ENOTSUP);
    EXPECT_EQ(error_of([&] {
                  view_->set_xattr(inode, "user." + std::string(300, 'x'), {}, XattrMode::any);
              }),
              ERANGE);
    EXPECT_EQ(error_of([&] { view_->remove_xattr(inode, "user.none"); }), ENODATA);
    const Bytes partition = committed();
    EXPECT_NE(debugfs(partition, "ea_get f user.small").find("\"1\""), std::string::npos);
    EXPECT_NE(debugfs(partition, "ea_list f").find("user.large (900)"), std::string::npos);
    view_->remove_xattr(inode, "user.large");
    const auto link = view_->make(kRootInode, {.name = "l", .mode = S_IFLNK, .link_target = "f"});
    EXPECT_EQ(error_of([&] { view_->set_xattr(link.inode, "user.x", {}, XattrMode::any); }), EPERM);
    committed();
}

class LinkLimitTest : public testing::TestWithParam<std::pair<const char*, int>> {};

INSTANTIATE_TEST_SUITE_P(Types, LinkLimitTest,
                         testing::Values(std::pair("-t ext2", 32000), std::pair("-t ext4", 65000)));

TEST_P(LinkLimitTest, LimitsHardLinks) {
    const TempDir folder;
    write_file(folder / "p", make_ext_image({.options = GetParam().first}));
    run("cd " + folder.path().string() + " && debugfs -w -R 'write /dev/null f' p && " +
        "debugfs -w -R 'set_inode_field f links_count " + std::to_string(GetParam().second - 1) +
        "' p");
    std::ifstream file(folder / "p", std::ios::binary);
    MemoryDevice device(to_bytes(std::string{std::istreambuf_iterator<char>(file), {}}));
    const auto view = make_ext_view(device, ViewAccess::read_write);
    const auto inode = inode_at(*view, "f");
    EXPECT_EQ(view->link(inode, kRootInode, "last").links,
              static_cast<uint32_t>(GetParam().second));
    EXPECT_EQ(error_of([&] { view->link(inode, kRootInode, "one too many"); }), EMLINK);
}

TEST_F(ExtViewChangeTest, RenamesOverWhatIsThereOnlyIfThatMakesSense) {
    const auto a = directory("a");
    const auto b = make(a, "b", S_IFDIR | 0755);
    directory("empty");
    const auto full = directory("full");
    make(full, "x", S_IFREG | 0644);
    const auto f = file("f");
    file("g");
    const auto rename = [&](const char* from, InodeNumber to, const char* name) {
        return error_of([&] { view_->rename(kRootInode, from, to, name, RenameMode::replace); });
    };
    EXPECT_EQ(rename("a", b, "c"), EINVAL);
    EXPECT_EQ(rename("a", a, "c"), EINVAL);
    EXPECT_EQ(rename("a", kRootInode, "f"), ENOTDIR);
    EXPECT_EQ(rename("f", kRootInode, "a"), EISDIR);
    EXPECT_EQ(rename("a", kRootInode, "full"), ENOTEMPTY);
    EXPECT_EQ(rename("full", kRootInode, "full"), 0);
    EXPECT_EQ(rename("none", kRootInode, "x"), ENOENT);
    EXPECT_EQ(
        error_of([&] { view_->rename(kRootInode, "f", kRootInode, "g", RenameMode::no_replace); }),
        EEXIST);
    view_->link(f, kRootInode, "f2");
    EXPECT_EQ(rename("f", kRootInode, "f2"), 0);  // the same file: nothing happens
    EXPECT_TRUE(view_->lookup(kRootInode, "f"));
    EXPECT_EQ(rename("f", kRootInode, "g"), 0);
    EXPECT_EQ(rename("full", kRootInode, "empty"), 0);
    EXPECT_EQ(view_->lookup(kRootInode, "empty")->inode, full);
    EXPECT_EQ(rename("empty", b, "moved"), 0);
    EXPECT_EQ(view_->entries(full)[1].inode, b);
    EXPECT_EQ(view_->attributes(b).links, 3U);
    EXPECT_EQ(view_->attributes(kRootInode).links, 4U);  // a and lost+found
    committed();
}

TEST_F(ExtViewChangeTest, AnswersEnospcAndStaysClean) {
    uint64_t made = 0;
    const auto big = file("big");
    const Bytes piece = noise(kMiB, 1);
    int error = 0;
    for (uint64_t offset = 0; error == 0; offset += piece.size()) {
        error = error_of([&] { view_->write(big, offset, piece); });
    }
    EXPECT_EQ(error, ENOSPC);
    for (uint64_t offset = view_->attributes(big).size; error != 0 && made < 2000; ++made) {
        error = error_of([&] { view_->write(big, offset + made * 1024, Bytes(1024)); });
        error = error == 0 ? 1 : 0;
    }
    error = 0;
    for (made = 0; error == 0; ++made) {
        error = error_of([&] { directory("d" + std::to_string(made)); });
    }
    EXPECT_EQ(error, ENOSPC);
    EXPECT_FALSE(view_->read_only());
    committed();
    view_->unlink(kRootInode, "big");
    directory("room again");
    committed();
}

TEST(ExtViewInodesTest, AnswersEnospcWithoutInodesAndStaysClean) {
    MemoryDevice device(make_ext_image({.options = "-t ext4 -b 1024 -N 64", .size = 8 * kMiB}));
    const auto view = make_ext_view(device, ViewAccess::read_write);
    int error = 0;
    int made = 0;
    for (; error == 0; ++made) {
        error = error_of([&] {
            view->make(kRootInode, {.name = "f" + std::to_string(made), .mode = S_IFREG | 0644});
        });
    }
    EXPECT_EQ(error, ENOSPC);
    EXPECT_EQ(view->space().free_inodes, 0U);
    view->commit();
    expect_e2fsck_clean(device.committed());
    view->unlink(kRootInode, "f0");
    view->make(kRootInode, {.name = "again", .mode = S_IFDIR | 0755});
    view->commit();
    expect_e2fsck_clean(device.committed());
}

}  // namespace
}  // namespace imgfs
