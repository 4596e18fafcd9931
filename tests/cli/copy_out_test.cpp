#include "cli/copy_out.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/base/error.h"
#include "tests/support/memory_source.h"
#include "tests/support/memory_view.h"
#include "tests/support/temp_dir.h"

namespace imgfs {
namespace {

constexpr uid_t kNobody = 65534;

void expect_nothing_said(const std::string& line) {
    ADD_FAILURE() << line;
}

class CopyOutTest : public testing::Test {
  protected:
    Attributes make(const std::string& name, uint32_t mode, const Bytes& content = {}) {
        const auto made = view_.make(kRootInode, {.name = name, .mode = mode, .uid = 1000});
        if (!content.empty()) {
            view_.write(made.inode, 0, content);
        }
        return view_.attributes(made.inode);
    }

    MemoryView view_;
    TempDir directory_;
};

TEST_F(CopyOutTest, TwoCopiesIntoOneFolderDoNotDisturbEachOther) {
    const auto first = noise(3 * kMiB, 1);
    const auto second = noise(2 * kMiB, 2);
    const auto first_file = make("first", S_IFREG | 0644, first);
    const auto second_file = make("second", S_IFREG | 0644, second);
    CopyOut inner(view_, expect_nothing_said, [](uint64_t) {});
    bool half_way = false;
    CopyOut outer(view_, expect_nothing_said, [&](uint64_t) {
        if (!std::exchange(half_way, true)) {
            inner.copy(second_file, directory_.path(), "second");
        }
    });
    outer.copy(first_file, directory_.path(), "first");
    EXPECT_EQ(read_file(directory_ / "first", 4 * kMiB), first);
    EXPECT_EQ(read_file(directory_ / "second", 4 * kMiB), second);
}

TEST_F(CopyOutTest, HolesStayHolesAtTheEndToo) {
    auto sparse = noise(10 * kKiB, 3);
    sparse.resize(5 * kMiB);
    const auto file = make("sparse", S_IFREG | 0644, sparse);
    CopyOut(view_, expect_nothing_said, [](uint64_t) {}).copy(file, directory_.path(), "sparse");
    EXPECT_EQ(read_file(directory_ / "sparse", 8 * kMiB), sparse);
    struct stat status {};
    ASSERT_EQ(::stat((directory_ / "sparse").c_str(), &status), 0);
    EXPECT_LE(status.st_blocks, 24);
}

TEST_F(CopyOutTest, AUserGetsNoSetUidProgramsOfTheirOwn) {
    const auto tool = make("tool", S_IFREG | 06755);
    const auto pipe = make("pipe", S_IFIFO | 06644);
    const auto folder = make("folder", S_IFDIR | 03775);
    ASSERT_EQ(::chown(directory_.path().c_str(), kNobody, kNobody), 0);
    const pid_t child = ::fork();
    if (child == 0) {
        ::umask(077);
        bool copied = ::setgid(kNobody) == 0 && ::setuid(kNobody) == 0;
        CopyOut copy(
            view_, [](const std::string&) {}, [](uint64_t) {});
        copy.copy(tool, directory_.path(), "tool");
        copy.copy(pipe, directory_.path(), "pipe");
        copy.copy(folder, directory_.path(), "folder");
        copied = copied && copy.complete();
        std::_Exit(copied ? 0 : 1);
    }
    int result = 0;
    ::waitpid(child, &result, 0);
    EXPECT_EQ(result, 0);
    for (const auto& [name, mode] :
         {std::pair{"tool", 0755U}, {"pipe", 0644U}, {"folder", 01775U}}) {
        struct stat status {};
        EXPECT_EQ(::stat((directory_ / name).c_str(), &status), 0) << name;
        EXPECT_EQ(status.st_mode & 07777, mode) << name;
    }
}

TEST_F(CopyOutTest, RootGivesFilesToTheirOwnersWithAllTheirBits) {
    const auto tool = make("tool", S_IFREG | 06755);
    CopyOut(view_, expect_nothing_said, [](uint64_t) {}).copy(tool, directory_.path(), "tool");
    struct stat status {};
    ASSERT_EQ(::stat((directory_ / "tool").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 06755U);
    EXPECT_EQ(status.st_uid, 1000U);
}

}  // namespace
}  // namespace imgfs
