#include "fs/store/delta_lock.h"

#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <ctime>
#include <map>
#include <sstream>
#include <thread>

#include "fs/base/error.h"
#include "fs/base/text.h"

namespace imgfs {
namespace {

using Clock = std::chrono::system_clock;

std::string host_name() {
    std::array<char, 256> name{};
    ::gethostname(name.data(), name.size() - 1);
    return name.data();
}

std::string user_name() {
    struct passwd entry {};
    struct passwd* found = nullptr;
    std::array<char, 4096> buffer{};
    ::getpwuid_r(::geteuid(), &entry, buffer.data(), buffer.size(), &found);
    return found != nullptr ? found->pw_name : std::to_string(::geteuid());
}

std::string holder_text(const std::string& use) {
    return "user " + printable(user_name()) + "\nhost " + printable(host_name()) + "\npid " +
           std::to_string(::getpid()) + "\nuse " + printable(use) + "\nsince " +
           std::to_string(Clock::to_time_t(Clock::now())) + "\n";
}

// "09:14", with the day if that is not today.
std::string since_text(const std::string& seconds) {
    const auto time = static_cast<time_t>(std::strtoll(seconds.c_str(), nullptr, 10));
    const auto then = format_local(Clock::from_time_t(time)).substr(0, 16);
    const auto now = format_local(Clock::now());
    return then.substr(0, 10) == now.substr(0, 10) ? then.substr(11) : then;
}

using Holder = std::map<std::string, std::string>;

Holder read_holder(int fd, const std::string& path) {
    Bytes bytes(4096);
    bytes.resize(read_some(fd, 0, bytes, path));
    std::istringstream lines{std::string(text_of(bytes))};
    Holder holder;
    for (std::string line; std::getline(lines, line);) {
        const auto space = line.find(' ');
        if (space != std::string::npos) {
            holder[line.substr(0, space)] = printable(line.substr(space + 1));
        }
    }
    return holder;
}

// The text of a holder that died stays until the next one has written its own.
bool is_outdated(const Holder& holder) {
    const auto pid = holder.find("pid");
    const auto host = holder.find("host");
    if (pid == holder.end() || host == holder.end()) {
        return true;
    }
    const auto number = static_cast<pid_t>(std::strtol(pid->second.c_str(), nullptr, 10));
    return host->second == host_name() && (::kill(number, 0) != 0 && errno == ESRCH);
}

[[noreturn]] void fail_in_use(int fd, const std::filesystem::path& path) {
    auto holder = read_holder(fd, path);
    for (int tries = 0; is_outdated(holder) && tries < 20; ++tries) {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        holder = read_holder(fd, path);
    }
    const auto folder = path.parent_path().string();
    if (!holder.contains("pid")) {
        fail(EBUSY, folder + ": in use read/write by another process; use --read-only");
    }
    const auto& use = holder["use"];
    fail(EBUSY,
         folder + ": in use read/write by " + holder["user"] + "@" + holder["host"] + ", pid " +
             holder["pid"] + ", " + use + ", since " + since_text(holder["since"]) +
             "; use --read-only, or " +
             (use.starts_with('/') ? "there: imgfs umount " + use : "wait until that has ended"));
}

}  // namespace

DeltaLock::DeltaLock(const std::filesystem::path& folder, const std::string& use)
    : path_(folder / "lock") {
    do {
        make_folders(folder);
    } while (!take());
    write_holder(use);
}

void DeltaLock::write_holder(const std::string& use) {
    try {
        if (::ftruncate(fd_.get(), 0) != 0) {
            fail_errno(path_.string());
        }
        write_exactly(fd_.get(), 0, bytes_of(holder_text(use)), path_.string());
    } catch (const std::system_error& error) {
        // On a full disk it is locked all the same, only nobody can be told by whom.
        if (errno_of(error) != ENOSPC && errno_of(error) != EDQUOT) {
            throw;
        }
    }
}

DeltaLock::~DeltaLock() {
    if (fd_) {
        // The text names nobody once nobody holds it; if that fails, is_outdated() sees it.
        [[maybe_unused]] const int result = ::ftruncate(fd_.get(), 0);
    }
}

void DeltaLock::make_folders(const std::filesystem::path& folder) {
    if (folder.empty() || std::filesystem::is_directory(folder)) {
        return;
    }
    make_folders(folder.parent_path());
    if (::mkdir(folder.c_str(), 0777) == 0) {
        made_.push_back(folder);
    } else if (errno != EEXIST) {
        fail_errno(folder.string());
    } else if (!std::filesystem::is_directory(folder)) {
        fail(ENOTDIR, folder.string() + ": is no folder, or a link that leads nowhere");
    }
}

// False: somebody has just removed the folder or the lock; begin again.
bool DeltaLock::take() {
    const int fd = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0 && errno == ENOENT) {
        return false;
    }
    if (fd < 0) {
        fail_errno(path_.string());
    }
    fd_ = Fd(fd);
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK) {
            fail_in_use(fd, path_);
        }
        fail_errno(path_.string() + ": lock");
    }
    struct stat held {};
    struct stat named {};
    return ::fstat(fd, &held) == 0 && ::stat(path_.c_str(), &named) == 0 &&
           held.st_ino == named.st_ino && held.st_dev == named.st_dev;
}

// Safe, since whoever opened the lock before it was removed sees in take() that it holds a file
// without a name.
void DeltaLock::leave_nothing() {
    ::unlink(path_.c_str());
    for (auto folder = made_.rbegin(); folder != made_.rend(); ++folder) {
        ::rmdir(folder->c_str());
    }
    fd_.close();
}

}  // namespace imgfs
