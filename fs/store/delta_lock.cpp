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

#include "fs/base/checksum.h"
#include "fs/base/error.h"
#include "fs/base/text.h"
#include "fs/store/layer_format.h"
#include "fs/store/random_value.h"

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
           std::to_string(Clock::to_time_t(Clock::now())) + "\ntoken " + hex(random_value<Uuid>()) +
           "\n";
}

std::string read_text(const std::filesystem::path& path) {
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!fd && errno == ENOENT) {
        return {};
    }
    if (!fd) {
        fail_errno(path.string());
    }
    Bytes bytes(4096);
    bytes.resize(read_some(fd.get(), 0, bytes, path.string()));
    return std::string(text_of(bytes));
}

std::optional<LockHolder> parse_holder(const std::string& text) {
    std::map<std::string, std::string> words;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        const auto space = line.find(' ');
        if (space != std::string::npos) {
            words[line.substr(0, space)] = printable(line.substr(space + 1));
        }
    }
    if (!words.contains("pid") || !words.contains("host")) {
        return std::nullopt;
    }
    const auto since = std::strtoll(words["since"].c_str(), nullptr, 10);
    return LockHolder{words["user"], words["host"], words["pid"], words["use"],
                      Clock::from_time_t(static_cast<time_t>(since))};
}

/// The text of a holder that died stays until the next one has written its own.
std::optional<LockHolder> living_holder(const std::filesystem::path& path) {
    auto holder = parse_holder(read_text(path));
    for (int tries = 0; (!holder || holder->is_dead()) && tries < 20; ++tries) {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        holder = parse_holder(read_text(path));
    }
    return holder;
}

[[noreturn]] void fail_in_use(const std::filesystem::path& path) {
    const auto folder = path.parent_path().string();
    const auto holder = living_holder(path);
    if (!holder) {
        fail(EBUSY, folder + ": in use read/write by another process; use --read-only");
    }
    fail(EBUSY, folder + ": in use read/write by " + holder->text() + "; use --read-only, or " +
                    (holder->use.starts_with('/') ? "there: imgfs umount " + holder->use
                                                  : "wait until that has ended"));
}

[[noreturn]] void fail_elsewhere(const std::filesystem::path& path, const LockHolder& holder) {
    fail(EBUSY, path.parent_path().string() + ": in use read/write by " + holder.text() +
                    ", as its lock says; that host can't be asked: use --read-only, or, once it "
                    "is sure that nobody there writes it any more, --break-lock");
}

bool cant_lock(int error) {
    return error == ENOLCK || error == EOPNOTSUPP || error == ENOSYS;
}

}  // namespace

bool LockHolder::is_on_this_host() const {
    return host == printable(host_name());
}

bool LockHolder::is_dead() const {
    const auto number = static_cast<pid_t>(std::strtol(pid.c_str(), nullptr, 10));
    return is_on_this_host() && (number <= 0 || (::kill(number, 0) != 0 && errno == ESRCH));
}

std::string LockHolder::text() const {
    return user + "@" + host + ", pid " + pid + ", " + use + ", since " + format_recent(since);
}

std::optional<LockHolder> lock_holder(const std::filesystem::path& folder) {
    auto holder = parse_holder(read_text(folder / "lock"));
    return holder && !holder->is_dead() ? holder : std::nullopt;
}

DeltaLock::DeltaLock(const std::filesystem::path& folder, const std::string& use, OtherHosts others)
    : path_(folder / "lock") {
    do {
        make_folders(folder);
    } while (!take(others));
    write_holder(use);
}

void DeltaLock::write_holder(const std::string& use) {
    try {
        if (::ftruncate(fd_.get(), 0) != 0) {
            fail_errno(path_.string());
        }
        const auto text = holder_text(use);
        write_exactly(fd_.get(), 0, bytes_of(text), path_.string());
        text_ = text;
    } catch (const std::system_error& error) {
        // On a full disk it is locked all the same, only nobody can be told by whom.
        if (errno_of(error) != ENOSPC && errno_of(error) != EDQUOT) {
            throw;
        }
    }
}

DeltaLock::~DeltaLock() {
    try {
        if (fd_ && is_ours()) {
            // The text names nobody once nobody holds it; if that fails, is_dead() sees it.
            [[maybe_unused]] const int result = ::ftruncate(fd_.get(), 0);
        }
    } catch (const std::system_error&) {
        // As if the program had been killed.
    }
}

/// Read by its name: what another host wrote need not be seen through a file that is open.
bool DeltaLock::is_ours() const {
    return read_text(path_) == text_;
}

void DeltaLock::check() const {
    if (is_ours()) {
        return;
    }
    const auto holder = parse_holder(read_text(path_));
    fail(ESTALE, path_.parent_path().string() + ": taken over by " +
                     (holder ? holder->text() : std::string("somebody else")));
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
bool DeltaLock::take(OtherHosts others) {
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
            fail_in_use(path_);
        }
        if (!cant_lock(errno)) {
            fail_errno(path_.string() + ": lock");
        }
        const auto holder = parse_holder(read_text(path_));
        if (holder && holder->is_on_this_host() && !holder->is_dead()) {
            fail_in_use(path_);
        }
    }
    const auto holder = parse_holder(read_text(path_));
    if (holder && !holder->is_on_this_host() && others == OtherHosts::respected) {
        fail_elsewhere(path_, *holder);
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
