// Mounts with a daemon of their own, over a tree in memory.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <iostream>

#include "fs/base/error.h"
#include "fs/base/fd.h"
#include "fs/mount/control.h"
#include "fs/mount/daemon.h"
#include "fs/mount/mountpoint.h"
#include "tests/support/memory_view.h"
#include "tests/support/shell.h"
#include "tests/support/temp_dir.h"

namespace imgfs {

/// Runs `action` in a child process; what it throws, and what it and its children say, is returned.
/// `meanwhile` runs here, and gets the child's pid.
inline std::string in_child(
    const std::function<void()>& action,
    const std::function<void(pid_t)>& meanwhile = [](pid_t) {}) {
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
    meanwhile(child);
    std::string output;
    std::array<char, 4096> piece{};
    for (ssize_t count = 0; (count = ::read(reader.get(), piece.data(), piece.size())) > 0;) {
        output.append(piece.data(), static_cast<size_t>(count));
    }
    ::waitpid(child, nullptr, 0);
    return output;
}

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
    std::string go() const { return (directory_ / "go").string(); }
    std::string commits() const { return shell("cat " + (directory_ / "commits").string()).output; }

    /// A job over an empty MemoryView; each commit does `at_commit`.
    MountJob job(const std::function<void()>& at_commit) const {
        return {.mountpoint = mountpoint(),
                .image = "web1/sda1",
                .options = {.source = "memory"},
                .open = [at_commit](const auto& serve_it) {
                    MemoryView view(::geteuid());
                    view.on_commit(at_commit);
                    serve_it({.view = view, .delta_folder = "web1/imgfs/sda1", .status = [&view] {
                                  return nlohmann::json{{"files", view.inodes()}};
                              }});
                }};
    }
    /// Commits are written down in a file, and fail as failure_ says.
    MountJob job() const {
        return job([this] {
            std::ofstream(directory_ / "commits", std::ios::app) << "commit\n";
            if (!failure_.empty()) {
                fail(EIO, failure_);
            }
        });
    }

    void wait_for_supervisor() { EXPECT_GT(::wait(nullptr), 0); }

    /// What a mount in the foreground says; `once_mounted` is done when it answers.
    std::string in_foreground(const std::function<void()>& once_mounted) {
        auto foreground = job();
        foreground.foreground = true;
        foreground.log = (directory_ / "log").string();
        return in_child(
            [&] {
                run_mount(foreground);
                std::cout << "ended" << std::flush;
            },
            [&](pid_t child) {
                foreground_ = child;
                const Fd table(::open("/proc/self/mounts", O_RDONLY | O_CLOEXEC));
                pollfd changed{table.get(), POLLERR, 0};
                while (!mounted_at(mountpoint())) {
                    ::poll(&changed, 1, -1);  // until something is mounted
                }
                run("touch " + in_mount("file"));  // waits until it answers
                once_mounted();
            });
    }

    TempDir directory_;
    std::string failure_;
    pid_t foreground_ = 0;
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

}  // namespace imgfs
