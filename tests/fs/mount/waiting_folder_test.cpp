// Who waits for an indexing pass keeps nobody out of the folder in which he waits.
#include <gtest/gtest.h>
#include <signal.h>

#include <condition_variable>
#include <mutex>
#include <set>

#include "fs/base/not_yet.h"
#include "tests/fs/mount/child.h"
#include "tests/fs/mount/served_mount.h"
#include "tests/support/memory_view.h"
#include "tests/support/shell.h"

namespace imgfs {
namespace {

/// Files whose names begin with "ahead" are not known yet and nothing can be changed, until the
/// pass has ended.
class PassView final : public MemoryView {
  public:
    void begin_pass() { set(true); }
    void end_pass() { set(false); }
    void wait_for_refusals(int count) {
        std::unique_lock lock(mutex_);
        refused_.wait(lock, [&] { return refusals_ >= count; });
    }

    std::optional<Attributes> lookup(InodeNumber directory, std::string_view name) override {
        if (name.starts_with("ahead")) {
            prepare_for_changes();
        }
        return MemoryView::lookup(directory, name);
    }
    Attributes attributes(InodeNumber inode) override {
        if (ahead_.contains(inode)) {
            prepare_for_changes();
        }
        return MemoryView::attributes(inode);
    }
    void prepare_for_changes() override {
        const std::lock_guard lock(mutex_);
        if (is_passing_) {
            ++refusals_;
            refused_.notify_all();
            throw NotYet([this] {
                const std::lock_guard asking(mutex_);
                return !is_passing_;
            });
        }
    }
    Attributes make(InodeNumber directory, const NewFile& file) override {
        prepare_for_changes();
        const auto made = MemoryView::make(directory, file);
        if (file.name.starts_with("ahead")) {
            ahead_.insert(made.inode);
        }
        return made;
    }
    void unlink(InodeNumber directory, std::string_view name) override {
        prepare_for_changes();
        MemoryView::unlink(directory, name);
    }
    void rename(InodeNumber directory, std::string_view name, InodeNumber new_directory,
                std::string_view new_name, RenameMode mode) override {
        prepare_for_changes();
        MemoryView::rename(directory, name, new_directory, new_name, mode);
    }

    Attributes link(InodeNumber inode, InodeNumber directory, std::string_view name) override {
        prepare_for_changes();
        return MemoryView::link(inode, directory, name);
    }
    void rmdir(InodeNumber directory, std::string_view name) override {
        prepare_for_changes();
        MemoryView::rmdir(directory, name);
    }

  private:
    void set(bool is_passing) {
        const std::lock_guard lock(mutex_);
        is_passing_ = is_passing;
    }

    std::mutex mutex_;
    std::condition_variable refused_;
    bool is_passing_ = false;
    int refusals_ = 0;
    std::set<InodeNumber> ahead_;  // constant once the pass has begun
};

class WaitingFolderTest : public testing::Test {
  protected:
    WaitingFolderTest() {
        run("cd " + mount_.path() +
            " && mkdir folder empty && touch file other ahead ahead2 folder/file");
        run("echo 2 > /proc/sys/vm/drop_caches");  // the kernel forgets the names
        view_.begin_pass();
    }
    ~WaitingFolderTest() override { view_.end_pass(); }

    std::string path(const std::string& name) const { return mount_ / name; }
    void expect_open_to_others() {
        EXPECT_EQ(run("cd " + mount_.path() + " && timeout 10 ls && timeout 10 cat file"),
                  "ahead\nahead2\nempty\nfile\nfolder\nother\n");
        EXPECT_NE(shell("timeout 10 stat " + path("absent")).status, 124);
        EXPECT_EQ(run("timeout 10 ls " + path("folder")), "file\n");
    }

    PassView view_;
    ServedMount mount_{view_};
};

TEST_F(WaitingFolderTest, ALookupThatWaitsKeepsNobodyOutOfItsFolder) {
    Child first("stat " + path("ahead"));
    Child second("stat " + path("ahead2"));
    view_.wait_for_refusals(2);
    expect_open_to_others();
    second.signal(SIGINT);
    EXPECT_EQ(second.wait(), 128 + SIGINT);
    view_.end_pass();
    EXPECT_EQ(first.wait(), 0);
}

TEST_F(WaitingFolderTest, ChangesThatWaitKeepNobodyOutOfTheirFolders) {
    Child touch("touch " + path("new"));
    Child make("mkdir " + path("folder/made"));
    Child remove("rm " + path("folder/file"));
    Child move("mv " + path("file") + " " + path("moved"));
    Child link("ln " + path("other") + " " + path("folder/hard"));
    Child point("ln -s file " + path("soft"));
    Child make_pipe("mkfifo " + path("pipe"));
    Child remove_folder("rmdir " + path("empty"));
    view_.wait_for_refusals(16);  // each is sent back, and then waits
    expect_open_to_others();
    view_.end_pass();
    EXPECT_EQ(touch.wait() + make.wait() + remove.wait() + move.wait(), 0);
    EXPECT_EQ(link.wait() + point.wait() + make_pipe.wait() + remove_folder.wait(), 0);
    EXPECT_EQ(run("cd " + mount_.path() + " && find . -path './*' | sort | tr '\\n' ' '"),
              "./ahead ./ahead2 ./folder ./folder/hard ./folder/made ./moved ./new ./other ./pipe "
              "./soft ");
}

TEST_F(WaitingFolderTest, AChangeThatWaitsCanBeInterrupted) {
    Child touch("touch " + path("new"));
    view_.wait_for_refusals(2);
    touch.signal(SIGINT);
    EXPECT_EQ(touch.wait(), 128 + SIGINT);
    view_.end_pass();
    run("touch " + path("later"));
    EXPECT_NE(shell("stat " + path("new")).status, 0);
}

}  // namespace
}  // namespace imgfs
