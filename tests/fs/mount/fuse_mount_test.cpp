#include "fs/mount/fuse_mount.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <future>
#include <set>
#include <thread>

#include "fs/base/error.h"
#include "fs/base/fd.h"
#include "fs/mount/mountpoint.h"
#include "tests/fs/mount/served_mount.h"
#include "tests/support/memory_source.h"
#include "tests/support/memory_view.h"
#include "tests/support/shell.h"

namespace imgfs {
namespace {

class FuseMountTest : public testing::Test {
  protected:
    /// Runs a script inside the mount.
    std::string in_mount(const std::string& script) {
        return run("cd " + mount_.path() + " && set -e; " + script);
    }
    struct stat status(const std::string& name) {
        struct stat result {};
        EXPECT_EQ(::lstat((mount_ / name).c_str(), &result), 0) << name;
        return result;
    }

    MemoryView view_;
    ServedMount mount_{view_};
};

TEST_F(FuseMountTest, ServesWhatShellToolsDo) {
    in_mount(R"(
        mkdir -p a/b; echo one > a/b/file; echo two >> a/b/file; cp -a a c; mv c/b/file c/moved
        ln a/b/file hard; ln -s a/b/file soft; mkfifo pipe; mknod null c 1 3; chown 1:2 hard
        chmod 4750 hard; touch -d '2020-01-02 03:04:05.678901234' soft-target; truncate -s 100 c/moved
        rm -r a/b; rmdir a
    )");
    EXPECT_EQ(in_mount("head -c 8 c/moved; readlink soft; stat -c '%h %a %u:%g' hard"),
              "one\ntwo\na/b/file\n1 4750 1:2\n");
    EXPECT_EQ(in_mount("stat -c '%F %t,%T' null; stat -c %F pipe; stat -c '%.9Y' soft-target"),
              "character special file 1,3\nfifo\n" +
                  run("date -d '2020-01-02 03:04:05.678901234' +%s.%N"));
    EXPECT_EQ(in_mount("ls -A | tr '\\n' ' '"), "c hard null pipe soft soft-target ");
}

TEST_F(FuseMountTest, TakesNamesOf255BytesAndRefusesLongerOnes) {
    const std::string longest(255, 'n');
    const std::string too_long(256, 'n');
    in_mount("touch " + longest + "; mkdir d; mv " + longest + " d; ln d/" + longest + " " +
             longest);
    for (const auto* command : {"touch ", "mkdir ", "ln -s x ", "ln d/n* ", "mkfifo ", "mv d ",
                                "rm ", "rmdir ", "stat "}) {
        const auto result = shell("cd " + mount_.path() + " && " + command + too_long);
        EXPECT_NE(result.status, 0) << command;
        EXPECT_NE(result.output.find("File name too long"), std::string::npos) << result.output;
    }
}

TEST_F(FuseMountTest, AppendsAtTheEndWhoeverWrites) {
    in_mount("for i in $(seq 100); do echo a$i >> log & echo b$i >> log; done; wait");
    EXPECT_EQ(in_mount("sort -u log | wc -l"), "200\n");
}

TEST_F(FuseMountTest, KeepsTheTimeOfTheWrite) {
    in_mount("echo x > file; stat -c %.9Y file > ../seen; sync file");
    const auto before = run("cat " + (mount_ / "../seen"));
    const auto stored = view_.lookup(kRootInode, "file")->modified;
    std::array<char, 64> text{};
    ::snprintf(text.data(), text.size(), "%ld.%09ld\n", stored.tv_sec, stored.tv_nsec);
    EXPECT_EQ(before, text.data());
}

TEST_F(FuseMountTest, KeepsATimeThatWasSetAfterWriting) {
    in_mount("echo x > file; touch -d @1000000000.5 file; sync file");
    EXPECT_EQ(view_.lookup(kRootInode, "file")->modified.tv_sec, 1000000000);
    EXPECT_EQ(view_.lookup(kRootInode, "file")->modified.tv_nsec, 500000000);
}

TEST_F(FuseMountTest, WritesAFileThatIsOpenForWritingOnly) {
    in_mount("echo 0123456789 > file; echo 3 > /proc/sys/vm/drop_caches");
    in_mount("printf XY | dd of=file bs=1 seek=3 conv=notrunc status=none");
    EXPECT_EQ(in_mount("cat file"), "012XY56789\n");
}

TEST_F(FuseMountTest, KeepsADeletedFileUntilItIsClosed) {
    in_mount("exec 5<>file; echo kept >&5; rm file; test ! -e file; cat /proc/self/fd/5 > copy");
    EXPECT_EQ(in_mount("cat copy; rm copy"), "kept\n");
    mount_.stop();
    EXPECT_EQ(view_.inodes(), 1U);
}

TEST_F(FuseMountTest, ListsTenThousandEntriesWithTheirAttributes) {
    in_mount("seq -f 'entry-with-a-longer-name-%05.0f' 10000 | xargs touch");
    EXPECT_EQ(in_mount("ls -U | sort -u | wc -l"), "10000\n");
    in_mount("echo 3 > /proc/sys/vm/drop_caches");
    EXPECT_EQ(in_mount("find . -type f -size 0 -printf '%i\\n' | sort -u | wc -l"), "10000\n");
    in_mount("find . -type f -delete");
    EXPECT_EQ(in_mount("ls -A"), "");
}

TEST_F(FuseMountTest, DoesNotBringBackNamesRemovedWhileADirectoryIsRead) {
    in_mount("seq -f 'entry-with-a-longer-name-%05.0f' 3000 | xargs touch");
    in_mount("echo 3 > /proc/sys/vm/drop_caches");
    std::set<std::string> removed;
    for (std::filesystem::directory_iterator next(mount_.path()), end; next != end; ++next) {
        if (removed.empty()) {
            // The kernel has the first piece of the list; what follows is removed meanwhile.
            for (int i = 2000; i <= 3000; ++i) {
                const auto name = "entry-with-a-longer-name-0" + std::to_string(i);
                std::filesystem::remove(mount_ / name);
                removed.insert(name);
            }
        }
    }
    for (const auto& name : removed) {
        EXPECT_FALSE(std::filesystem::exists(mount_ / name)) << name;
    }
}

TEST_F(FuseMountTest, KeepsExtendedAttributes) {
    in_mount(R"(
        touch file; setfattr -n user.one -v 1 file; setfattr -n user.two -v 22 file
        setfattr -n trusted.three -v 333 file; setfattr -x user.one file
    )");
    EXPECT_EQ(in_mount("getfattr -d -m - file"),
              "# file: file\ntrusted.three=\"333\"\nuser.two=\"22\"\n\n");
    EXPECT_NE(in_mount("getfattr -n user.none file || true").find("No such attribute"),
              std::string::npos);
    const auto path = mount_ / "file";
    EXPECT_NE(::setxattr(path.c_str(), "user.two", "x", 1, XATTR_CREATE), 0);
    EXPECT_EQ(errno, EEXIST);
    EXPECT_NE(::setxattr(path.c_str(), "user.four", "x", 1, XATTR_REPLACE), 0);
    EXPECT_EQ(errno, ENODATA);
}

TEST_F(FuseMountTest, KeepsAccessControlListsAndChecksThem) {
    in_mount("echo secret > file; chmod 600 file; setfacl -m u:65534:r file");
    EXPECT_NE(in_mount("getfacl -n file").find("user:65534:r--"), std::string::npos);
    EXPECT_TRUE(view_.xattr(view_.lookup(kRootInode, "file")->inode, "system.posix_acl_access"));
}

TEST_F(FuseMountTest, HandsTheUmaskToTheView) {
    in_mount("umask 077; touch file; mkdir dir; umask 0; touch open");
    EXPECT_EQ(in_mount("stat -c %a file dir open"), "600\n700\n666\n");
}

TEST_F(FuseMountTest, RenamesAsTheFlagsSay) {
    in_mount("echo a > a; echo b > b");
    const auto a = mount_ / "a";
    const auto b = mount_ / "b";
    EXPECT_NE(::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_NOREPLACE), 0);
    EXPECT_EQ(errno, EEXIST);
    EXPECT_NE(::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE), 0);
    EXPECT_EQ(errno, EINVAL);
    EXPECT_EQ(::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), 0), 0);
    EXPECT_EQ(in_mount("cat b; ls"), "a\nb\n");
}

TEST_F(FuseMountTest, CommitsAtFsyncOfAFileOrADirectoryAndAtSynchronousWrites) {
    const Fd file(::open((mount_ / "file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    const Fd directory(::open(mount_.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    EXPECT_EQ(view_.commits(), 0);
    EXPECT_EQ(::fsync(file.get()), 0);
    EXPECT_EQ(view_.commits(), 1);
    EXPECT_EQ(::fsync(directory.get()), 0);
    EXPECT_EQ(view_.commits(), 2);
    const Fd synchronous(::open((mount_ / "file").c_str(), O_WRONLY | O_DSYNC | O_CLOEXEC));
    EXPECT_EQ(::write(synchronous.get(), "x", 1), 1);
    EXPECT_GE(view_.commits(), 3);
    const auto before = view_.commits();
    const Fd direct(::open((mount_ / "file").c_str(), O_WRONLY | O_SYNC | O_DIRECT | O_CLOEXEC));
    alignas(4096) static const std::array<char, 4096> block{};
    EXPECT_EQ(::write(direct.get(), block.data(), block.size()), 4096);
    EXPECT_GT(view_.commits(), before);
}

TEST_F(FuseMountTest, ReportsAFailedCommitToTheCallerOfFsync) {
    view_.on_commit([] { fail(EIO, "the disk is gone"); });
    const Fd file(::open((mount_ / "file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    EXPECT_NE(::fsync(file.get()), 0);
    EXPECT_EQ(errno, EIO);
}

TEST_F(FuseMountTest, ClearsSetUidBitsOfAFileThatAnotherUserChanges) {
    in_mount("echo x > tool; chmod 6777 tool; chown 65534 tool; chmod 6777 tool");
    EXPECT_EQ(in_mount("stat -c %a tool; chown 0 tool; stat -c %a tool"), "6777\n777\n");
}

TEST_F(FuseMountTest, CarriesLargeFilesWhole) {
    const auto content = noise(9 * kMiB + 123, 7);
    write_file(mount_ / "large", content);
    in_mount("echo 3 > /proc/sys/vm/drop_caches");
    EXPECT_EQ(read_file(mount_ / "large", 10 * kMiB), content);
    EXPECT_EQ(view_.lookup(kRootInode, "large")->size, content.size());
}

TEST_F(FuseMountTest, TellsHowMuchSpaceThereIs) {
    EXPECT_EQ(run("stat -f -c '%S %b %f %a %c %l' " + mount_.path()),
              "4096 100000 90000 80000 50000 255\n");
}

TEST_F(FuseMountTest, IsMountedWithoutSetUidAndDevices) {
    const auto line = run("grep ' " + mount_.path() + " ' /proc/mounts");
    EXPECT_TRUE(line.starts_with("memory ")) << line;
    EXPECT_NE(line.find(" fuse.imgfs rw,nosuid,nodev,"), std::string::npos) << line;
    EXPECT_NE(line.find("default_permissions"), std::string::npos) << line;
}

TEST_F(FuseMountTest, RefusesASecondMountAtTheSamePlace) {
    MemoryView other;
    try {
        serve(other, mount_.path(), {.source = "other"}, {});
        FAIL() << "mounted twice";
    } catch (const std::system_error& error) {
        EXPECT_EQ(error.code().value(), EBUSY);
        EXPECT_NE(message_of(error).find("memory is mounted there already"), std::string::npos)
            << message_of(error);
    }
}

TEST_F(FuseMountTest, ReturnsWhenItIsUnmounted) {
    run("umount " + mount_.path());
    mount_.join();
    EXPECT_FALSE(mounted_at(mount_.path()));
}

TEST_F(FuseMountTest, StopsAndWritesBackWhileAFileIsOpen) {
    const Fd file(::open((mount_ / "file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    const auto content = noise(3 * kMiB, 3);
    write_exactly(file.get(), 0, content, "file");
    mount_.stop();
    EXPECT_FALSE(mounted_at(mount_.path()));
    Bytes stored(content.size());
    EXPECT_EQ(view_.read(view_.lookup(kRootInode, "file")->inode, 0, stored), content.size());
    EXPECT_EQ(stored, content);
}

TEST(FuseMountOptionsTest, AReadOnlyViewIsMountedSo) {
    MemoryView view;
    const auto inode = view.make(kRootInode, {.name = "file", .mode = S_IFREG | 0644}).inode;
    view.write(inode, 0, bytes_of("text"));
    view.make_read_only();
    const ServedMount mount(view);
    EXPECT_EQ(run("cat " + (mount / "file")), "text");
    EXPECT_EQ(shell("touch " + (mount / "file")).status, 1);
    EXPECT_NE(run("grep ' " + mount.path() + " ' /proc/mounts").find(" ro,"), std::string::npos);
}

TEST(FuseMountOptionsTest, OtherUsersEnterOnlyIfAllowedAndAreChecked) {
    MemoryView view;
    const auto as_nobody = [](const ServedMount& mount, const std::string& script) {
        return shell("chmod 755 " + mount.path() + "/..; cd / && runuser -u nobody -- sh -c " +
                     shell_quoted("cd " + mount.path() + " && " + script));
    };
    {
        const ServedMount mount(view);
        EXPECT_NE(as_nobody(mount, "true").status, 0);
    }
    const ServedMount mount(view, {.allow_other = true, .source = "a,b\\c"});
    run("cd " + mount.path() +
        "; echo open > open; echo secret > secret; chmod 600 secret; "
        "mkdir drop; chmod 777 drop; setfacl -m u:nobody:r secret");
    EXPECT_EQ(as_nobody(mount, "cat open").output, "open\n");
    EXPECT_EQ(as_nobody(mount, "cat secret").output, "secret\n");
    EXPECT_NE(as_nobody(mount, "touch new").status, 0);
    EXPECT_EQ(as_nobody(mount, "touch drop/new && stat -c %U drop/new").output, "nobody\n");
    EXPECT_NE(as_nobody(mount, "chown root drop/new").status, 0);
    EXPECT_EQ(mounted_at(mount.path())->source, "a,b\\c");
}

TEST(FuseMountOptionsTest, RootMayHaveSetUidAndDevices) {
    MemoryView view;
    const ServedMount mount(view, {.suid = true, .dev = true, .source = "memory"});
    run("mknod " + (mount / "null") + " c 1 3; echo x > " + (mount / "null"));
    const auto line = run("grep ' " + mount.path() + " ' /proc/mounts");
    EXPECT_EQ(line.find("nosuid"), std::string::npos) << line;
}

TEST(FuseMountOptionsTest, NothingIsRunIfThatIsForbidden) {
    MemoryView view;
    const ServedMount mount(view, {.noexec = true, .source = "memory"});
    run("cp /bin/true " + (mount / "tool"));
    EXPECT_EQ(shell((mount / "tool")).status, 126);
}

TEST(FuseMountOptionsTest, RefusesAMountpointThatIsNone) {
    MemoryView view;
    const TempDir directory;
    write_file(directory / "file", bytes_of("x"));
    for (const auto& [name, code] : {std::pair{"none", ENOENT}, {"file", ENOTDIR}}) {
        try {
            serve(view, (directory / name).string(), {}, {});
            FAIL() << name;
        } catch (const std::system_error& error) {
            EXPECT_EQ(error.code().value(), code) << message_of(error);
        }
    }
}

/// Is the thread of this process between two tries?
bool is_sleeping(pid_t thread) {
    std::ifstream state("/proc/self/task/" + std::to_string(thread) + "/syscall");
    long call = -1;
    return state >> call && call == SYS_clock_nanosleep;
}

TEST_F(FuseMountTest, WhoOnlyLooksAtTheMountDoesNotKeepItFromBeingUnmounted) {
    Fd looks_at_it = open_file(mount_.path(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    std::promise<pid_t> thread;
    auto unmounted = std::async(std::launch::async, [&] {
        thread.set_value(static_cast<pid_t>(::syscall(SYS_gettid)));
        unmount_path(mount_.path(), Unmount::if_unused);
    });
    const auto number = thread.get_future().get();
    while (!is_sleeping(number) &&
           unmounted.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
        std::this_thread::yield();
    }
    looks_at_it.close();
    EXPECT_NO_THROW(unmounted.get());
    EXPECT_FALSE(mounted_at(mount_.path()));
    mount_.join();
}

}  // namespace
}  // namespace imgfs
