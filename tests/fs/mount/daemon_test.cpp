#include "fs/mount/daemon.h"

#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <iostream>
#include <thread>

#include "fs/base/error.h"
#include "fs/base/fd.h"
#include "fs/mount/control.h"
#include "fs/mount/mountpoint.h"
#include "tests/support/memory_view.h"
#include "tests/support/shell.h"
#include "tests/support/temp_dir.h"

namespace imgfs {
namespace {

constexpr uid_t kNobody = 65534;

class DaemonTest : public testing::Test {
  protected:
    DaemonTest() {
        std::filesystem::create_directory(mountpoint());
        std::filesystem::permissions(directory_.path(), std::filesystem::perms(0755));
    }
    ~DaemonTest() override {
        if (mounted_at(mountpoint())) {
            unmount_path(mountpoint(), Unmount::lazily);
        }
        while (::wait(nullptr) > 0) {  // the supervisors end when their daemons have
        }
    }

    std::string mountpoint() const { return (directory_ / "mnt").string(); }
    std::string in_mount(const std::string& name) const { return mountpoint() + "/" + name; }
    std::string commits() const { return shell("cat " + (directory_ / "commits").string()).output; }

    /// A job over an empty MemoryView; commits are written down in a file.
    MountJob job() {
        return {.mountpoint = mountpoint(),
                .image = "web1/sda1",
                .options = {.source = "memory"},
                .open = [this](const auto& serve_it) {
                    MemoryView view(::geteuid());
                    view.on_commit([this] {
                        std::ofstream(directory_ / "commits", std::ios::app) << "commit\n";
                        if (!failure_.empty()) {
                            fail(EIO, failure_);
                        }
                    });
                    serve_it({.view = view, .delta_folder = "web1/imgfs/sda1", .status = [&view] {
                                  return nlohmann::json{{"files", view.inodes()}};
                              }});
                }};
    }

    void wait_for_supervisor() { EXPECT_GT(::wait(nullptr), 0); }

    TempDir directory_;
    std::string failure_;
};

/// Runs `action` in a child process; what it throws, and what it says, is returned.
std::string in_child(const std::function<void()>& action) {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    const Fd reader(ends[0]);
    Fd writer(ends[1]);
    const pid_t child = ::fork();
    if (child == 0) {
        ::dup2(writer.get(), STDOUT_FILENO);
        ::dup2(writer.get(), STDERR_FILENO);
        try {
            action();
        } catch (const std::exception& error) {
            std::cerr << "error: " << message_of(error) << std::flush;
        }
        std::_Exit(0);
    }
    writer.close();
    std::string output;
    std::array<char, 4096> piece{};
    for (ssize_t count = 0; (count = ::read(reader.get(), piece.data(), piece.size())) > 0;) {
        output.append(piece.data(), static_cast<size_t>(count));
    }
    ::waitpid(child, nullptr, 0);
    return output;
}

void become_nobody(const std::filesystem::path& session) {
    ::setenv("XDG_RUNTIME_DIR", session.c_str(), 1);
    if (::setgroups(0, nullptr) != 0 || ::setgid(kNobody) != 0 || ::setuid(kNobody) != 0) {
        fail_errno("setuid");
    }
}

/// Ordinary users may open /dev/fuse wherever udev made it; where nothing did, it is root's.
class OrdinaryUserTest : public DaemonTest {
  protected:
    OrdinaryUserTest() {
        std::filesystem::create_directory(session());
        run("chmod 666 /dev/fuse; chown -R nobody " + directory_.path().string());
    }
    ~OrdinaryUserTest() override { run("chmod " + fuse_mode_ + " /dev/fuse"); }

    std::filesystem::path session() const { return directory_ / "session"; }
    /// in_child(), as an ordinary user.
    std::string as_user(const std::function<void()>& action) {
        return in_child([&] {
            become_nobody(session());
            action();
        });
    }

  private:
    const std::string fuse_mode_ = run("stat -c %a /dev/fuse | tr -d '\\n'");
};

template <typename Action>
std::error_code error_code_of(Action action, std::string& message) {
    try {
        action();
    } catch (const std::system_error& error) {
        message = message_of(error);
        return error.code();
    }
    return {};
}

TEST_F(DaemonTest, ReturnsWhenTheMountAnswersAndServesUntilUnmounted) {
    run_mount(job());
    run("echo text > " + in_mount("file"));
    const auto record = find_mount(mountpoint() + "/");
    EXPECT_TRUE(record.alive);
    EXPECT_EQ(record.mountpoint, mountpoint());
    EXPECT_EQ(record.image, "web1/sda1");
    EXPECT_EQ(record.delta_folder, "web1/imgfs/sda1");
    EXPECT_FALSE(record.read_only);
    EXPECT_EQ(request(record, "status").at("files"), 2);
    EXPECT_EQ(commits(),
              "cat: " + (directory_ / "commits").string() + ": No such file or directory\n");
    request(record, "sync");
    EXPECT_EQ(commits(), "commit\n");
    unmount(record);
    EXPECT_FALSE(mounted_at(mountpoint()));
    EXPECT_EQ(commits(), "commit\ncommit\ncommit\n");  // before unmounting, and the last one
    std::string message;
    EXPECT_EQ(error_code_of([&] { find_mount(mountpoint()); }, message).value(), ENOENT);
}

TEST_F(DaemonTest, CommitsAfterAnOrdinaryUmount) {
    run_mount(job());
    run("umount " + mountpoint());
    wait_for_supervisor();
    EXPECT_EQ(commits(), "commit\n");
}

TEST_F(DaemonTest, AMountInUseStaysAndSaysSo) {
    run_mount(job());
    std::string message;
    {
        const Fd open(::open(mountpoint().c_str(), O_RDONLY | O_CLOEXEC));
        const auto code = error_code_of([&] { unmount(find_mount(mountpoint())); }, message);
        EXPECT_EQ(code.value(), EBUSY);
        EXPECT_NE(message.find(mountpoint() + ": in use"), std::string::npos) << message;
    }
    EXPECT_EQ(commits(), "commit\n");
    run("touch " + in_mount("file"));
    unmount(find_mount(mountpoint()));
}

TEST_F(DaemonTest, TheLastCommitsFailureIsReportedAndTheMountIsGone) {
    failure_ = "web1/imgfs/sda1: No space left on device";
    run_mount(job());
    std::string message;
    error_code_of([&] { unmount(find_mount(mountpoint())); }, message);
    EXPECT_TRUE(message.starts_with(failure_)) << message;
    EXPECT_FALSE(mounted_at(mountpoint()));
}

TEST_F(DaemonTest, AFailureNobodyWaitedForIsOnRecordOnce) {
    failure_ = "web1/imgfs/sda1: No space left on device";
    run_mount(job());
    run("umount " + mountpoint());
    wait_for_supervisor();
    const auto mine = [&] {
        for (const auto& record : known_mounts()) {
            if (record.mountpoint == mountpoint()) {
                return record.error;
            }
        }
        return std::string("none");
    };
    EXPECT_EQ(mine(), failure_);
    EXPECT_EQ(mine(), "none");
}

TEST_F(DaemonTest, AKilledDaemonLeavesNoDeadMountButItsReason) {
    run_mount(job());
    ::kill(find_mount(mountpoint()).pid, SIGKILL);
    wait_for_supervisor();
    EXPECT_FALSE(mounted_at(mountpoint()));
    const auto record = find_mount(mountpoint());
    EXPECT_FALSE(record.alive);
    EXPECT_TRUE(record.ended);
    EXPECT_NE(record.error.find("killed by signal 9"), std::string::npos) << record.error;
    std::string message;
    EXPECT_EQ(error_code_of([&] { unmount(record); }, message).value(), EIO);
    EXPECT_TRUE(message.starts_with(record.error)) << message;
    run_mount(job());  // what is left doesn't stand in the way
    EXPECT_TRUE(find_mount(mountpoint()).alive);
}

TEST_F(DaemonTest, AnUnsupervisedDeadMountIsRemovedByUnmount) {
    run_mount(job());
    const auto record = find_mount(mountpoint());
    const auto supervisor = run("ps -o ppid= -p " + std::to_string(record.pid));
    ::kill(std::stoi(supervisor), SIGKILL);
    wait_for_supervisor();
    ::kill(record.pid, SIGKILL);
    while (find_mount(mountpoint()).alive) {
    }
    std::string message;
    EXPECT_EQ(error_code_of([&] { run_mount(job()); }, message).value(), ENOTCONN);
    EXPECT_NE(message.find("imgfs umount"), std::string::npos) << message;
    unmount(find_mount(mountpoint()));
    EXPECT_FALSE(mounted_at(mountpoint()));
}

TEST_F(DaemonTest, StopsOnASignalEvenIfAFileIsOpen) {
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
        run_mount(job());
        const Fd open(::open(in_mount("file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
        ::kill(find_mount(mountpoint()).pid, signal);
        wait_for_supervisor();
        EXPECT_FALSE(mounted_at(mountpoint()));
    }
    EXPECT_EQ(commits(), "commit\ncommit\ncommit\n");
}

TEST_F(DaemonTest, WhatOpeningThrowsReachesTheCaller) {
    auto failing = job();
    failing.open = [](const auto&) { fail(EUCLEAN, "sda1.gz: damaged"); };
    std::string message;
    EXPECT_EQ(error_code_of([&] { run_mount(failing); }, message).value(), EUCLEAN);
    EXPECT_EQ(message, "sda1.gz: damaged");
    failing.open = [](const auto&) { ::kill(::getpid(), SIGKILL); };
    EXPECT_EQ(error_code_of([&] { run_mount(failing); }, message).value(), EIO);
    EXPECT_NE(message.find("died before the mount answered"), std::string::npos) << message;
}

TEST_F(DaemonTest, ShowsProgressToTheCallerAndThenHoldsNothingOfIt) {
    auto slow = job();
    slow.open = [inner = slow.open](const auto& serve_it) {
        std::cerr << "indexing\n" << std::flush;
        inner(serve_it);
    };
    // The output ends, although the daemon lives on.
    EXPECT_EQ(in_child([&] { run_mount(slow); }), "indexing\n");
    EXPECT_TRUE(find_mount(mountpoint()).alive);
    unmount(find_mount(mountpoint()));
}

TEST_F(DaemonTest, RefusesASecondMountAtTheSamePlace) {
    run_mount(job());
    std::string message;
    EXPECT_EQ(error_code_of([&] { run_mount(job()); }, message).value(), EBUSY);
    EXPECT_NE(message.find("memory is mounted there already"), std::string::npos) << message;
    EXPECT_TRUE(find_mount(mountpoint()).alive);
}

TEST_F(DaemonTest, InTheForegroundReturnsWhenTheMountEnds) {
    auto foreground = job();
    foreground.foreground = true;
    const auto path = mountpoint();
    std::thread stopper([&] {
        const Fd table(::open("/proc/self/mounts", O_RDONLY | O_CLOEXEC));
        pollfd changed{table.get(), POLLERR, 0};
        while (!mounted_at(path)) {
            ::poll(&changed, 1, -1);  // until something is mounted
        }
        // What is asked of the mount waits until it answers.
        run("touch " + in_mount("file") + "; umount " + path);
    });
    run_mount(foreground);
    stopper.join();
    EXPECT_EQ(commits(), "commit\n");
}

TEST_F(OrdinaryUserTest, MayDoEverythingInTheirOwnMount) {
    EXPECT_EQ(as_user([&] { run_mount(job()); }), "");
    const auto as_nobody = [&](const std::string& script) {
        return run("runuser -u nobody -- sh -c " +
                   shell_quoted("cd " + mountpoint() + " && " + script));
    };
    as_nobody("echo x > file; chown 0:5 file; chmod 4000 file; cat file >/dev/null");
    EXPECT_EQ(as_nobody("stat -c '%a %u:%g' file"), "4000 0:5\n");
    EXPECT_NE(shell("ls " + mountpoint()).status, 0);  // not even root is let in
    EXPECT_EQ(run("stat -c '%a %U' " + (session() / "imgfs").string()), "700 nobody\n");
    EXPECT_EQ(as_user([&] {
                  const auto record = find_mount(mountpoint());
                  std::cout << request(record, "status").dump() << std::flush;
                  unmount(record);
              }),
              "{\"files\":2,\"ok\":true}");
    EXPECT_FALSE(mounted_at(mountpoint()));
    EXPECT_EQ(commits(), "commit\ncommit\n");
}

TEST_F(OrdinaryUserTest, LearnsThatTheirMountIsInUse) {
    EXPECT_EQ(as_user([&] {
                  run_mount(job());
                  const Fd open(::open(mountpoint().c_str(), O_RDONLY | O_CLOEXEC));
                  unmount(find_mount(mountpoint()));
              }),
              "error: " + mountpoint() + ": in use; what uses it: fuser -vm " + mountpoint());
    EXPECT_EQ(as_user([&] { unmount(find_mount(mountpoint())); }), "");
}

TEST_F(OrdinaryUserTest, FindsNoDeadMountAfterTheDaemonWasKilled) {
    EXPECT_EQ(as_user([&] {
                  run_mount(job());
                  ::kill(find_mount(mountpoint()).pid, SIGKILL);
                  ::wait(nullptr);
                  std::cout << find_mount(mountpoint()).error << std::flush;
              }),
              "the daemon was killed by signal 9; what was not committed is lost");
    EXPECT_FALSE(mounted_at(mountpoint()));
}

TEST_F(OrdinaryUserTest, RefusesARuntimeFolderOfSomebodyElse) {
    std::filesystem::create_symlink("/tmp", session() / "imgfs");
    const auto output = as_user([] { known_mounts(); });
    EXPECT_NE(output.find("must be a directory that only you can enter"), std::string::npos)
        << output;
}

}  // namespace
}  // namespace imgfs
