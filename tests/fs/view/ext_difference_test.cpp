#include <cerrno>

#include "tests/fs/view/difference_fixture.h"
#include "tests/support/memory_device.h"

namespace imgfs {
namespace {

using ExtDifferenceTest = DifferenceFixture;

TEST_F(ExtDifferenceTest, AStateDoesNotDifferFromItself) {
    file("f", 5000);
    seal("one");
    EXPECT_EQ(differences("one", "one"), Lines());
    EXPECT_EQ(differences("base", "base"), Lines());
}

TEST_F(ExtDifferenceTest, SaysWhatWasAddedChangedDeletedAndRenamed) {
    const auto changed = file("changed", 5000);
    const auto longer = file("longer", 5000);
    file("deleted", 10);
    file("old", 10);
    seal("one");
    view_->write(changed, 2000, noise(10, 77));
    view_->write(longer, 5000, noise(10, 78));
    view_->unlink(kRootInode, "deleted");
    view_->rename(kRootInode, "old", kRootInode, "new", RenameMode::replace);
    file("added", 10);
    make(kRootInode, "pipe", S_IFIFO | 0644);
    seal("two");
    EXPECT_EQ(differences("one", "two"), Lines({"A /added", "C /changed", "D /deleted", "C /longer",
                                                "R /old -> /new", "A /pipe"}));
    EXPECT_EQ(differences("two", "one"), Lines({"D /added", "C /changed", "A /deleted", "C /longer",
                                                "R /new -> /old", "D /pipe"}));
}

TEST_F(ExtDifferenceTest, TellsMetadataFromContent) {
    const auto mode = file("mode", 5000);
    const auto owner = file("owner", 5000);
    const auto times = file("times", 5000);
    const auto xattr = file("xattr", 5000);
    const auto read = file("read", 5000);
    file("untouched", 5000);
    seal("one");
    view_->change(mode, {.mode = 0600});
    view_->change(owner, {.uid = 70000});
    view_->change(times, {.modified = timespec{12345, 6}});
    view_->set_xattr(xattr, "user.colour", noise(10, 1), XattrMode::any);
    view_->change(read,
                  {.accessed = timespec{12345, 6}, .changed = view_->attributes(read).changed});
    seal("two");
    EXPECT_EQ(differences("one", "two"), Lines({"M /mode", "M /owner", "M /times", "M /xattr"}));
}

TEST_F(ExtDifferenceTest, ContentThatWasWrittenAgainAsItWasIsTheSame) {
    const auto same = file("same", 9000);
    const auto bytes = content_of(*view_, same);
    seal("one");
    view_->write(same, 0, bytes);
    seal("two");
    EXPECT_EQ(differences("one", "two"), Lines({"M /same"}));
}

TEST_F(ExtDifferenceTest, ANameOfAFileComesAndGoes) {
    const auto linked = file("linked", 10);
    const auto dropped = file("dropped", 10);
    view_->link(dropped, kRootInode, "dropped too");
    seal("one");
    view_->link(linked, directory("d"), "other");
    view_->unlink(kRootInode, "dropped");
    seal("two");
    EXPECT_EQ(differences("one", "two"),
              Lines({"A /d", "A /d/other", "D /dropped", "M /dropped too", "M /linked"}));
    view_->write(linked, 0, noise(3, 9));
    seal("three");
    EXPECT_EQ(differences("two", "three"), Lines({"C /d/other", "C /linked"}));
}

TEST_F(ExtDifferenceTest, ADirectoryIsNotWhatIsInIt) {
    const auto filled = directory("filled");
    const auto mode = directory("mode");
    const auto times = directory("times");
    const auto xattr = directory("xattr");
    file("f", 10, filled);
    seal("one");
    file("g", 10, filled);
    view_->change(mode, {.mode = 0700});
    view_->change(times, {.modified = timespec{12345, 6}});
    view_->set_xattr(xattr, "user.colour", noise(10, 1), XattrMode::any);
    view_->change(kRootInode, {.mode = 0700});
    seal("two");
    EXPECT_EQ(differences("one", "two"), Lines({"M /", "A /filled/g", "M /mode", "M /xattr"}));
}

TEST_F(ExtDifferenceTest, WhatARenamedDirectoryHoldsHasItsNewPath) {
    const auto moved = directory("moved");
    const auto changed = file("changed", 10, moved);
    file("same", 10, moved);
    file("deleted", 10, moved);
    seal("one");
    view_->rename(kRootInode, "moved", directory("into"), "here", RenameMode::replace);
    view_->write(changed, 0, noise(10, 99));
    view_->unlink(moved, "deleted");
    seal("two");
    EXPECT_EQ(differences("one", "two"), Lines({"A /into", "C /into/here/changed",
                                                "R /moved -> /into/here", "D /moved/deleted"}));
}

TEST_F(ExtDifferenceTest, WhatWasReplacedHasChanged) {
    file("edited", 10);
    file("now a directory", 10);
    const auto rebuilt = directory("rebuilt");
    file("f", 10, rebuilt);
    view_->make(kRootInode, {.name = "link", .mode = S_IFLNK | 0777, .link_target = "there"});
    seal("one");
    file("edited.tmp", 10);
    view_->rename(kRootInode, "edited.tmp", kRootInode, "edited", RenameMode::replace);
    view_->unlink(kRootInode, "now a directory");
    directory("now a directory");
    view_->unlink(rebuilt, "f");
    view_->rmdir(kRootInode, "rebuilt");
    file("f", 10, directory("rebuilt"));
    view_->unlink(kRootInode, "link");
    view_->make(kRootInode, {.name = "link", .mode = S_IFLNK | 0777, .link_target = "elsewhere"});
    seal("two");
    EXPECT_EQ(differences("one", "two"), Lines({"C /edited", "C /link", "A /now a directory",
                                                "D /now a directory", "C /rebuilt/f"}));
}

TEST_F(ExtDifferenceTest, ATreeIsDeletedFileByFile) {
    const auto top = directory("top");
    const auto below = make(top, "below", S_IFDIR | 0755);
    file("f", 10, below);
    seal("one");
    view_->unlink(below, "f");
    view_->rmdir(top, "below");
    view_->rmdir(kRootInode, "top");
    seal("two");
    EXPECT_EQ(differences("one", "two"), Lines({"D /top", "D /top/below", "D /top/below/f"}));
    EXPECT_EQ(differences("base", "two"), Lines());
}

TEST_F(ExtDifferenceTest, AFileWithoutANameIsNone) {
    const auto open = file("open", 10);
    view_->open(open);
    seal("one");
    view_->unlink(kRootInode, "open");
    seal("two");
    EXPECT_EQ(differences("one", "two"), Lines({"D /open"}));
    view_->close(open);
}

TEST_F(ExtDifferenceTest, AFileSystemThatWasMadeAnewIsRefused) {
    overwrite(make_ext_image({.options = "-t ext4 -b 1024 -I 512"}));
    EXPECT_NE(line_of([&] { differences("base", "overwritten"); }).find("made anew"),
              std::string::npos);
}

TEST_F(ExtDifferenceTest, AJournalThatNeedsReplayIsRefused) {
    auto unclean = image_;
    unclean[1024 + 0x60] |= std::byte{4};  // needs_recovery
    overwrite(unclean);
    EXPECT_EQ(error_of([&] { differences("base", "overwritten"); }), ENOTSUP);
}

TEST_F(ExtDifferenceTest, WhatIsNoExtIsRefused) {
    overwrite(Bytes(image_.size()));
    EXPECT_EQ(error_of([&] { differences("base", "overwritten"); }), EMEDIUMTYPE);
}

class SmallExtDifferenceTest : public DifferenceFixture {
  protected:
    SmallExtDifferenceTest()
        : DifferenceFixture({.options = "-t ext4 -b 1024", .size = 2 * kMiB}) {}
};

TEST_F(SmallExtDifferenceTest, AnyDamageIsAnErrorOrNothing) {
    file("f", 5000, directory("d"));
    view_->commit();
    const auto sound = read_all(*opened_.device);
    std::mt19937_64 random(5);
    for (int i = 0; i < 300; ++i) {
        auto damaged = sound;
        for (int byte = 0; byte < 40; ++byte) {
            damaged[random() % (sound.size() / 4)] = static_cast<std::byte>(random());
        }
        MemoryDevice before(sound);
        MemoryDevice after(std::move(damaged));
        try {
            find_differences({before, after, [](uint64_t, uint64_t) { return false; }}, {});
        } catch (const std::system_error&) {
            // which says what
        }
    }
}

/// With inodes whose times have seconds only.
class OldExtDifferenceTest : public DifferenceFixture {
  protected:
    OldExtDifferenceTest() : DifferenceFixture({.options = "-t ext2 -b 1024 -I 128"}) {}
};

TEST_F(OldExtDifferenceTest, FilesThatWentInTheSecondOfThePointAreSeen) {
    file("f", 10);
    seal("one");
    view_->unlink(kRootInode, "f");
    file("h", 10);
    seal("two");
    EXPECT_EQ(differences("one", "two"), Lines({"D /f", "A /h"}));
}

class LargeExtDifferenceTest : public DifferenceFixture {
  protected:
    LargeExtDifferenceTest() : DifferenceFixture({.options = "-t ext4 -N 60000", .size = kSize}) {}
    static constexpr uint64_t kSize = 64 * kMiB;
};

TEST_F(LargeExtDifferenceTest, LittleIsRead) {
    const auto filled = directory("filled");
    for (int i = 0; i < 500; ++i) {
        file("f" + std::to_string(i), 20000, filled);
    }
    view_->change(filled, {.mode = 0700});
    seal("one");
    view_->change(inode_at(*view_, "filled/f77"), {.mode = 0600});
    seal("two");
    EXPECT_EQ(differences("one", "two"), Lines({"M /filled/f77"}));
    EXPECT_LT(bytes_read_, 200 * kKiB) << "of 15 MiB of inode tables and 10 MiB of data";
}

}  // namespace
}  // namespace imgfs
