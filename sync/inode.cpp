#include "sync/inode.h"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "fs/base/error.h"
#include "fs/base/text.h"

namespace imgsync {
namespace {

constexpr std::string_view kAccessAcl = "system.posix_acl_access";
constexpr size_t kLargestXattr = 64 * imgfs::kKiB;  // XATTR_LIST_MAX and XATTR_SIZE_MAX

[[noreturn]] void fail_on(const std::string& path, const std::string& doing) {
    imgfs::fail_errno(imgfs::printable(path) + ": " + doing);
}

/// An ordinary user meets a right that only root has; for root EPERM is a fault like any other.
bool is_lacking_right(int code) {
    return code == EPERM && ::geteuid() != 0;
}

std::vector<std::string> xattr_names(const std::string& link, const std::string& path) {
    std::string list(kLargestXattr, '\0');
    const auto length = ::listxattr(link.c_str(), list.data(), list.size());
    if (length < 0 && errno == ENOENT) {
        imgfs::fail(ENOENT, "/proc: not mounted, and imgsync needs it; mount -t proc proc /proc");
    }
    if (length < 0 && errno != ENOTSUP) {
        fail_on(path, "list of extended attributes");
    }
    std::vector<std::string> names;
    for (size_t at = 0; length > 0 && at < static_cast<size_t>(length);) {
        std::string name(list.c_str() + at);
        at += name.size() + 1;
        if (is_copied_xattr(name)) {
            names.push_back(std::move(name));
        }
    }
    return names;
}

std::vector<Xattr> read_xattrs(const std::string& link, const std::string& path) {
    std::vector<Xattr> xattrs;
    for (const auto& name : xattr_names(link, path)) {
        std::string value(kLargestXattr, '\0');
        const auto length = ::getxattr(link.c_str(), name.c_str(), value.data(), value.size());
        if (length < 0 && errno == ENODATA) {
            continue;  // removed since it was listed
        }
        if (length < 0) {
            fail_on(path, "extended attribute " + imgfs::printable(name));
        }
        value.resize(static_cast<size_t>(length));
        value.shrink_to_fit();
        xattrs.push_back({name, std::move(value)});
    }
    std::ranges::sort(xattrs);
    return xattrs;
}

std::string read_symlink(int fd, const std::string& path) {
    std::array<char, 4096> target{};
    const auto length = ::readlinkat(fd, "", target.data(), target.size());
    if (length < 0) {
        fail_on(path, "symbolic link");
    }
    return {target.data(), static_cast<size_t>(length)};
}

}  // namespace

Kind kind_of(mode_t mode) {
    switch (mode & S_IFMT) {
        case S_IFREG:
            return Kind::file;
        case S_IFDIR:
            return Kind::directory;
        case S_IFLNK:
            return Kind::symlink;
        case S_IFIFO:
            return Kind::fifo;
        case S_IFSOCK:
            return Kind::socket;
        case S_IFCHR:
            return Kind::character;
        default:
            return Kind::block;
    }
}

Time modified_of(const struct stat& status) {
    return {.seconds = status.st_mtim.tv_sec,
            .nanoseconds = static_cast<uint32_t>(status.st_mtim.tv_nsec)};
}

Time changed_of(const struct stat& status) {
    return {.seconds = status.st_ctim.tv_sec,
            .nanoseconds = static_cast<uint32_t>(status.st_ctim.tv_nsec)};
}

Place place_of(int fd, const std::string& path) {
    struct statx status {};
    const int flags = AT_EMPTY_PATH | AT_STATX_DONT_SYNC;
    if (::statx(fd, "", flags, STATX_MNT_ID, &status) != 0) {
        imgfs::fail_errno(imgfs::printable(path));
    }
    return {.device = makedev(status.stx_dev_major, status.stx_dev_minor),
            .mount = status.stx_mnt_id};
}

std::optional<Inode> Inode::find(int directory, const std::string& name, const std::string& path) {
    const int fd = ::openat(directory, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        return std::nullopt;
    }
    if (fd < 0) {
        imgfs::fail_errno(imgfs::printable(path));
    }
    return Inode(Fd(fd), path);
}

/// Not by dup(2): closing the copy would be a flush request to the daemon of a mount.
Inode Inode::of_open_file(int fd, const std::string& path) {
    Fd place(::open(("/proc/self/fd/" + std::to_string(fd)).c_str(), O_PATH | O_CLOEXEC));
    if (!place) {
        imgfs::fail_errno(imgfs::printable(path));
    }
    return {std::move(place), path};
}

Inode::Inode(Fd fd, std::string path)
    : fd_(std::move(fd)),
      path_(std::move(path)),
      link_("/proc/self/fd/" + std::to_string(fd_.get())) {
    refresh();
}

void Inode::refresh() {
    if (::fstat(fd_.get(), &status_) != 0) {
        imgfs::fail_errno(imgfs::printable(path_));
    }
}

Attributes Inode::attributes() const {
    return {.mode = status_.st_mode & 07777u,
            .owner = status_.st_uid,
            .group = status_.st_gid,
            .modified = modified_of(status_),
            .xattrs = read_xattrs(link_, path_)};
}

Entry Inode::entry() const {
    Entry entry;
    entry.kind = kind_of(status_.st_mode);
    entry.attributes = attributes();
    if (entry.kind == Kind::file) {
        entry.size = static_cast<uint64_t>(status_.st_size);
    } else if (entry.kind == Kind::symlink) {
        entry.symlink_target = read_symlink(fd_.get(), path_);
    } else if (entry.kind == Kind::character || entry.kind == Kind::block) {
        entry.major = major(status_.st_rdev);
        entry.minor = minor(status_.st_rdev);
    }
    return entry;
}

Fd Inode::open_for_reading() const {
    Fd fd(::open(link_.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) {
        imgfs::fail_errno(imgfs::printable(path_));
    }
    return fd;
}

void Inode::link_as(int directory, const std::string& name) const {
    if (::linkat(AT_FDCWD, link_.c_str(), directory, name.c_str(), AT_SYMLINK_FOLLOW) != 0) {
        fail_on(path_, "hard link");
    }
}

/// Owners first: a change takes set-id bits and capabilities away. Then xattrs, as an ACL sets mode
/// bits. The time is last, since everything before may touch it.
SetResult Inode::set(const Attributes& wanted) {
    const auto before = status_;
    SetResult result;
    result.not_permitted = !set_owners(wanted);
    set_xattrs(wanted.xattrs, result);
    refresh();
    // With an ACL the group's bits are its mask: without it they would let the group in.
    const auto mode = result.lacks_acl ? wanted.mode & ~070u : wanted.mode;
    if (!S_ISLNK(status_.st_mode) && (status_.st_mode & 07777u) != mode &&
        ::chmod(link_.c_str(), mode) != 0) {
        fail_on(path_, "mode");
    }
    if (modified_of(status_) != wanted.modified) {
        const std::array<timespec, 2> times = {
            timespec{0, UTIME_OMIT},
            timespec{wanted.modified.seconds, static_cast<long>(wanted.modified.nanoseconds)}};
        if (::utimensat(AT_FDCWD, link_.c_str(), times.data(), 0) != 0) {
            fail_on(path_, "time");
        }
    }
    refresh();
    result.changed = result.changed || before.st_mode != status_.st_mode ||
                     before.st_uid != status_.st_uid || before.st_gid != status_.st_gid ||
                     modified_of(before) != modified_of(status_);
    return result;
}

bool Inode::set_owners(const Attributes& wanted) {
    if (status_.st_uid == wanted.owner && status_.st_gid == wanted.group) {
        return true;
    }
    if (::fchownat(fd_.get(), "", wanted.owner, wanted.group, AT_EMPTY_PATH) == 0) {
        return true;
    }
    if (!is_lacking_right(errno)) {
        fail_on(path_, "owner");
    }
    // A user may still give it to a group of theirs.
    const auto keep_owner = static_cast<uid_t>(-1);
    const bool group_set = ::fchownat(fd_.get(), "", keep_owner, wanted.group, AT_EMPTY_PATH) == 0;
    return group_set && status_.st_uid == wanted.owner;
}

void Inode::set_xattrs(const std::vector<Xattr>& wanted, SetResult& result) {
    const auto present = read_xattrs(link_, path_);
    for (const auto& [name, value] : present) {
        if (std::ranges::find(wanted, name, &Xattr::name) == wanted.end()) {
            take_xattr_result(::removexattr(link_.c_str(), name.c_str()), name, result);
        }
    }
    for (const auto& xattr : wanted) {
        const auto& [name, value] = xattr;
        if (!std::ranges::binary_search(present, xattr) &&
            !take_xattr_result(
                ::setxattr(link_.c_str(), name.c_str(), value.data(), value.size(), 0), name,
                result) &&
            name == kAccessAcl) {
            result.lacks_acl = true;
        }
    }
}

/// A full disk is not told from an inode without room for one more xattr: the next write will tell.
bool Inode::take_xattr_result(int returned, const std::string& name, SetResult& result) {
    static constexpr std::array kUnstorable = {E2BIG, EINVAL, ENOSPC, EOPNOTSUPP, EPERM, ERANGE};
    if (returned == 0) {
        result.changed = true;
        return true;
    }
    const auto what = imgfs::printable(path_) + ": extended attribute " + imgfs::printable(name);
    if (is_lacking_right(errno)) {
        result.not_permitted = true;
    } else if (std::ranges::find(kUnstorable, errno) != kUnstorable.end()) {
        result.problems.push_back(what + ": " + std::generic_category().message(errno) +
                                  "; the rest of it is in place");
    } else {
        imgfs::fail_errno(what);
    }
    return false;
}

}  // namespace imgsync
