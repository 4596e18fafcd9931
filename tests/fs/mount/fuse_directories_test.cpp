// Directories that change, or that the kernel forgets, while somebody reads them.
#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <set>

#include "fs/base/bytes.h"
#include "fs/base/error.h"
#include "fs/base/fd.h"
#include "tests/fs/mount/served_mount.h"
#include "tests/support/memory_view.h"
#include "tests/support/shell.h"

namespace imgfs {
namespace {

using Names = std::multiset<std::string>;

/// Reads a directory piece by piece; "." and ".." are left out.
class DirectoryReader {
  public:
    explicit DirectoryReader(const std::string& path)
        : fd_(open_file(path, O_RDONLY | O_DIRECTORY)) {}

    /// False at the end.
    bool read_piece(Names& into) {
        const auto count = ::syscall(SYS_getdents64, fd_.get(), buffer_.data(), buffer_.size());
        if (count < 0) {
            fail_errno("getdents64");
        }
        const ConstByteSpan piece(buffer_.data(), static_cast<size_t>(count));
        // A record: inode u64, offset u64, length u16, type u8, name.
        for (size_t at = 0; at < piece.size();) {
            const std::string name(reinterpret_cast<const char*>(piece.data()) + at + 19);
            if (name != "." && name != "..") {
                into.insert(name);
            }
            at += le16(piece, at + 16);
        }
        return count > 0;
    }
    Names read_rest() {
        Names names;
        while (read_piece(names)) {
        }
        return names;
    }
    void rewind() { ::lseek(fd_.get(), 0, SEEK_SET); }

  private:
    Fd fd_;
    std::array<std::byte, 4096> buffer_{};
};

/// A directory of 3,000 names, and a small one, listed so often that the kernel knows them.
class ChangingDirectoryTest : public testing::TestWithParam<int> {
  protected:
    ChangingDirectoryTest() {
        for (int i = 0; i < GetParam(); ++i) {
            const auto name = "name-" + std::to_string(i);
            view_.make(kRootInode, {.name = name, .mode = S_IFREG | 0644});
            there_.insert(name);
        }
    }

    void list(const ServedMount& mount) {
        EXPECT_EQ(DirectoryReader(mount.path()).read_rest().size(), there_.size());
    }
    void remove(const ServedMount& mount, const Names& names) {
        for (const auto& name : names) {
            std::filesystem::remove(mount / name);
            there_.erase(name);
        }
    }
    /// Every name that is there now, once.
    void expect_all(const Names& got) const {
        Names seen;
        for (const auto& name : got) {
            if (there_.contains(name)) {
                seen.insert(name);
            }
        }
        EXPECT_EQ(seen.size(), there_.size());
        EXPECT_EQ(seen, there_);
    }

    MemoryView view_;
    Names there_;
};

TEST_P(ChangingDirectoryTest, AReaderGetsAllThatStaysWhenOthersChangeAndListIt) {
    const ServedMount mount(view_);
    list(mount);
    list(mount);
    DirectoryReader reader(mount.path());
    Names got;
    reader.read_piece(got);
    run("touch " + (mount / "new"));
    DirectoryReader beginning(mount.path());
    Names few;
    beginning.read_piece(few);  // ls | head
    got.merge(reader.read_rest());
    expect_all(got);
}

TEST_P(ChangingDirectoryTest, AReaderGetsAllThatStaysWhenWhatItHasReadIsRemoved) {
    const ServedMount mount(view_);
    list(mount);
    list(mount);
    DirectoryReader reader(mount.path());
    Names got;
    reader.read_piece(got);
    remove(mount, got);
    list(mount);
    list(mount);
    got.merge(reader.read_rest());
    expect_all(got);
    reader.rewind();
    EXPECT_EQ(reader.read_rest(), there_);
}

TEST_P(ChangingDirectoryTest, AReaderGetsAllThatStaysWhenAnotherStartsAgain) {
    const ServedMount mount(view_);
    list(mount);
    DirectoryReader first(mount.path());
    DirectoryReader second(mount.path());
    Names got;
    Names got_by_second;
    first.read_piece(got);
    second.read_piece(got_by_second);
    remove(mount, got);
    first.rewind();
    EXPECT_EQ(first.read_rest(), there_);
    got_by_second.merge(second.read_rest());
    expect_all(got_by_second);
    second.rewind();
    EXPECT_EQ(second.read_rest(), there_);
}

TEST_P(ChangingDirectoryTest, AReaderThatStartsAgainHalfWaySeesWhatIsThere) {
    const ServedMount mount(view_);
    DirectoryReader reader(mount.path());
    Names got;
    reader.read_piece(got);
    remove(mount, got);
    run("touch " + (mount / "new"));
    there_.insert("new");
    reader.rewind();
    EXPECT_EQ(reader.read_rest(), there_);
    reader.rewind();
    EXPECT_EQ(reader.read_rest(), there_);
}

TEST_P(ChangingDirectoryTest, AReaderGoesOnWhereTheKernelsCacheEnds) {
    for (const bool read_only : {false, true}) {
        if (read_only) {
            view_.make_read_only();
        }
        const ServedMount mount(view_);
        list(mount);
        list(mount);
        DirectoryReader reader(mount.path());
        Names got;
        reader.read_piece(got);
        if (!read_only) {
            run("touch " + (mount / "new"));
        }
        run("echo 1 > /proc/sys/vm/drop_caches");
        got.merge(reader.read_rest());
        expect_all(got);
        if (!read_only) {
            remove(mount, {"new"});
        }
    }
}

INSTANTIATE_TEST_SUITE_P(OfNames, ChangingDirectoryTest, testing::Values(5, 3000));

}  // namespace
}  // namespace imgfs
