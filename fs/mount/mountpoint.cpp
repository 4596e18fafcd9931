#include "fs/mount/mountpoint.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "fs/base/error.h"
#include "fs/base/fd.h"
#include "fs/base/text.h"

namespace imgfs {
namespace {

constexpr auto kUnmounter = "fusermount3";
// Who only looks at every mount, as df does, is gone by then.
constexpr auto kPatience = std::chrono::seconds(1);
constexpr auto kBetweenTries = std::chrono::milliseconds(20);

// mountinfo writes space, tab, newline and backslash as \ooo.
std::string unescaped(const std::string& word) {
    std::string result;
    for (size_t i = 0; i < word.size(); ++i) {
        if (word[i] == '\\' && i + 3 < word.size()) {
            result += static_cast<char>(std::stoi(word.substr(i + 1, 3), nullptr, 8));
            i += 3;
        } else {
            result += word[i];
        }
    }
    return result;
}

struct ProgramResult {
    int status = 0;
    std::string output;  // stderr
};

std::string read_all(int fd) {
    std::string text;
    std::array<char, 512> piece{};
    for (;;) {
        const auto count = ::read(fd, piece.data(), piece.size());
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            return text;
        }
        text.append(piece.data(), static_cast<size_t>(count));
    }
}

ProgramResult run_unmounter(const std::string& mountpoint, Unmount how) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
        fail_errno("pipe");
    }
    const Fd reader(ends[0]);
    Fd writer(ends[1]);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, writer.get(), STDERR_FILENO);
    std::string program = kUnmounter;
    std::string options = how == Unmount::lazily ? "-uz" : "-u";
    std::string last_option = "--";
    std::string path = mountpoint;
    std::array<char*, 5> arguments{program.data(), options.data(), last_option.data(), path.data(),
                                   nullptr};
    pid_t child = 0;
    const int failed =
        ::posix_spawnp(&child, kUnmounter, &actions, nullptr, arguments.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    if (failed != 0) {
        fail(failed, mountpoint + ": can't be unmounted: fusermount3 can't be started (package " +
                         "fuse3)");
    }
    writer.close();
    ProgramResult result{.output = read_all(reader.get())};
    while (::waitpid(child, &result.status, 0) < 0 && errno == EINTR) {
    }
    return result;
}

[[noreturn]] void fail_in_use(const std::string& mountpoint) {
    fail(EBUSY,
         printable(mountpoint) + ": in use; what uses it: fuser -vm " + printable(mountpoint));
}

void unmount_as_user(const std::string& mountpoint, Unmount how) {
    const auto result = run_unmounter(mountpoint, how);
    if (result.status == 0) {
        return;
    }
    if (result.output.find("busy") != std::string::npos) {
        fail_in_use(mountpoint);
    }
    const auto line = result.output.substr(0, result.output.find('\n'));
    fail(EINVAL, printable(mountpoint) + ": can't be unmounted: " + line);
}

void unmount_once(const std::string& mountpoint, Unmount how) {
    if (::geteuid() != 0) {
        unmount_as_user(mountpoint, how);
        return;
    }
    const int flags = UMOUNT_NOFOLLOW | (how == Unmount::lazily ? MNT_DETACH : 0);
    if (::umount2(mountpoint.c_str(), flags) != 0) {
        if (errno == EBUSY) {
            fail_in_use(mountpoint);
        }
        fail_errno(printable(mountpoint) + ": can't be unmounted");
    }
}

}  // namespace

std::optional<MountedAt> mounted_at(const std::string& path) {
    std::ifstream table("/proc/self/mountinfo");
    std::optional<MountedAt> found;
    for (std::string line; std::getline(table, line);) {
        std::istringstream words(line);
        std::string skipped;
        std::string device;
        std::string at;
        words >> skipped >> skipped >> device >> skipped >> at;
        if (unescaped(at) != path) {
            continue;
        }
        while (words >> skipped && skipped != "-") {
        }
        std::string type;
        std::string source;
        words >> type >> source;
        found = {device, unescaped(type), unescaped(source)};
    }
    return found;
}

bool is_dead_mount(const std::string& path) {
    const auto mount = mounted_at(path);
    // statfs always asks the daemon; stat may be answered from what the kernel remembers.
    struct statvfs status {};
    return mount && mount->type == "fuse.imgfs" && ::statvfs(path.c_str(), &status) != 0 &&
           errno == ENOTCONN;
}

std::string absolute_mountpoint(const std::string& named) {
    // The last component itself is not looked at: asking a dead mount is an error.
    const auto path = std::filesystem::absolute(named).lexically_normal();
    const auto clean = path.has_filename() ? path : path.parent_path();
    std::error_code problem;
    const auto resolved = std::filesystem::canonical(clean, problem);
    if (!problem) {
        return resolved.string();
    }
    const auto parent = std::filesystem::canonical(clean.parent_path(), problem);
    return (problem ? clean : parent / clean.filename()).string();
}

std::string checked_mountpoint(const std::string& named) {
    auto path = absolute_mountpoint(named);
    const auto present = mounted_at(path);
    const bool ours = present && present->type == "fuse.imgfs";
    if (is_dead_mount(path)) {
        fail(ENOTCONN, printable(path) + ": a dead imgfs mount is there; imgfs umount " +
                           printable(path) + " removes it");
    }
    if (ours) {
        fail(EBUSY, printable(path) + ": " + printable(present->source) +
                        " is mounted there already; imgfs umount " + printable(path));
    }
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) {
        fail_errno("mountpoint " + printable(named));
    }
    if (!S_ISDIR(status.st_mode)) {
        fail(ENOTDIR, "mountpoint " + printable(named) + ": not a directory");
    }
    return path;
}

void unmount_path(const std::string& mountpoint, Unmount how) {
    const auto give_up = std::chrono::steady_clock::now() + kPatience;
    while (true) {
        try {
            unmount_once(mountpoint, how);
            return;
        } catch (const std::system_error& error) {
            if (error.code().value() != EBUSY || std::chrono::steady_clock::now() >= give_up) {
                throw;
            }
        }
        std::this_thread::sleep_for(kBetweenTries);
    }
}

void check_may_mount() {
    if (::access("/dev/fuse", F_OK) != 0) {
        fail(ENODEV, "/dev/fuse is not there: load the kernel's module (modprobe fuse) or let " +
                         std::string("the container have the device"));
    }
    if (::geteuid() == 0) {
        return;
    }
    std::istringstream folders(std::getenv("PATH") != nullptr ? std::getenv("PATH") : "");
    for (std::string folder = "/usr/bin"; !folder.empty() || folders;
         folder.clear(), std::getline(folders, folder, ':')) {
        if (::access((folder + "/" + kUnmounter).c_str(), X_OK) == 0) {
            return;
        }
    }
    fail(ENOENT, "mounting as an ordinary user needs fusermount3: install the package fuse3");
}

}  // namespace imgfs
