#include "cli/copy_out.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "fs/base/error.h"
#include "fs/base/text.h"

namespace imgfs {
namespace {

/// A name from an image that can be used as one component, and nothing else.
bool is_plain_name(const std::string& name) {
    return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos &&
           name.find('\0') == std::string::npos;
}

std::array<timespec, 2> times_of(const Attributes& file) {
    return {file.accessed, file.modified};
}

/// A user can't give files away: cp -p is as lenient. Then the mode bits that may be set are the
/// ones that don't lend the caller's rights to others.
uint32_t permitted_bits(int chown_result, const std::string& path) {
    constexpr uint32_t kLending = S_ISUID | S_ISGID;
    if (chown_result == 0) {
        return 07777;
    }
    if (errno != EPERM) {
        fail_errno(printable(path));
    }
    return 07777 & ~kLending;
}

}  // namespace

CopyOut::CopyOut(View& view, std::function<void(const std::string&)> note,
                 std::function<void(uint64_t bytes)> progress)
    : view_(view), note_(std::move(note)), progress_(std::move(progress)) {}

void CopyOut::copy(const Attributes& file, const std::filesystem::path& into,
                   const std::string& name) {
    if (root_ != into) {
        linked_.clear();  // links are made by paths below one directory
        root_ = into;
    }
    const auto directory = open_file(into, O_RDONLY | O_DIRECTORY);
    copy_any(file, {directory.get(), name, (into / name).string()});
}

void CopyOut::copy_any(const Attributes& file, const Place& place) {
    try {
        if (S_ISDIR(file.mode)) {
            copy_directory(file, place);
        } else if (!link_to_earlier_copy(file, place)) {
            S_ISREG(file.mode) ? copy_file(file, place) : copy_special(file, place);
        }
    } catch (const std::exception& error) {
        if (errno_of(error) == ECANCELED) {
            throw;
        }
        complete_ = false;
        note_(message_of(error));
    }
}

void CopyOut::copy_directory(const Attributes& file, const Place& place) {
    if (::mkdirat(place.directory, place.name.c_str(), 0700) != 0 && errno != EEXIST) {
        fail_errno(printable(place.path));
    }
    const Fd fd(::openat(place.directory, place.name.c_str(),
                         O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) {
        fail_errno(printable(place.path));
    }
    for (const auto& entry : view_.entries(file.inode)) {
        if (entry.name == "." || entry.name == "..") {
            continue;
        }
        const auto path = place.path + "/" + entry.name;
        if (!is_plain_name(entry.name)) {
            complete_ = false;
            note_(printable(path) + ": not copied, such a name is an attack or damage");
            continue;
        }
        copy_any(view_.attributes(entry.inode), {fd.get(), entry.name, path});
    }
    set_metadata(file, fd.get(), place.path);
}

bool CopyOut::link_to_earlier_copy(const Attributes& file, const Place& place) {
    if (file.links < 2) {
        return false;
    }
    const auto [earlier, is_first] = linked_.emplace(file.inode, place.path);
    if (is_first) {
        return false;
    }
    ::unlinkat(place.directory, place.name.c_str(), 0);
    if (::linkat(AT_FDCWD, earlier->second.c_str(), place.directory, place.name.c_str(), 0) != 0) {
        fail_errno(printable(place.path));
    }
    return true;
}

void CopyOut::copy_file(const Attributes& file, const Place& place) {
    imgsync::TempFile copy(place.directory, place.path);
    write_content(file, copy);
    set_metadata(file, copy.fd(), place.path);
    copy.name().rename_to(place.name, place.path);
}

void CopyOut::write_content(const Attributes& file, imgsync::TempFile& copy) {
    Bytes buffer(kMiB);
    for (uint64_t offset = 0; offset < file.size;) {
        const auto count = view_.read(file.inode, offset, buffer);
        if (count == 0) {
            break;
        }
        copy.write(ConstByteSpan(buffer).first(count));
        offset += count;
        progress_(count);
    }
    copy.skip_zeros(file.size - std::min(file.size, copy.size()));
    copy.end();
}

void CopyOut::copy_special(const Attributes& file, const Place& place) {
    const auto* name = place.name.c_str();
    ::unlinkat(place.directory, name, 0);
    const int failed =
        S_ISLNK(file.mode)
            ? ::symlinkat(view_.link_target(file.inode).c_str(), place.directory, name)
            : ::mknodat(place.directory, name, (file.mode & S_IFMT) | 0600, file.device);
    if (failed != 0) {
        fail_errno(printable(place.path));
    }
    const auto bits = permitted_bits(
        ::fchownat(place.directory, name, file.uid, file.gid, AT_SYMLINK_NOFOLLOW), place.path);
    if (!S_ISLNK(file.mode)) {
        ::fchmodat(place.directory, name, file.mode & bits, 0);
    }
    ::utimensat(place.directory, name, times_of(file).data(), AT_SYMLINK_NOFOLLOW);
}

void CopyOut::set_metadata(const Attributes& file, int fd, const std::string& path) {
    // Owner before mode: chown takes set-uid bits away.
    const auto bits = permitted_bits(::fchown(fd, file.uid, file.gid), path);
    for (const auto& name : view_.xattr_names(file.inode)) {
        const auto value = view_.xattr(file.inode, name);
        if (value && ::fsetxattr(fd, name.c_str(), value->data(), value->size(), 0) != 0 &&
            errno != EPERM && errno != ENOTSUP) {
            fail_errno(printable(path) + ": attribute " + printable(name));
        }
    }
    if (::fchmod(fd, file.mode & bits) != 0 || ::futimens(fd, times_of(file).data()) != 0) {
        fail_errno(printable(path));
    }
}

}  // namespace imgfs
