#include "fs/store/layer_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "fs/base/error.h"

namespace imgfs {
namespace {

// The delta holds the content of the image's files, which its owner may not show to everybody.
constexpr unsigned kPrivate = 0600;
constexpr unsigned kSealed = 0400;

void tell(FileWatcher* watcher, const FileChange& change) {
    if (watcher != nullptr) {
        watcher->before(change);
    }
}

void check_free_space(int fd, uint64_t length, const std::string& name) {
    struct statvfs space {};
    if (::fstatvfs(fd, &space) != 0) {
        fail_errno(name);
    }
    // The file system itself takes some, to note where the file's blocks lie.
    if (space.f_bavail * space.f_frsize < length + length / 64) {
        errno = ENOSPC;
        fail_errno(name);
    }
}

/// What stands under the name itself: no link, no pipe, nothing that answers later.
Fd open_regular(const std::filesystem::path& path, int flags) {
    auto fd = open_file(path, flags | O_NOFOLLOW | O_NONBLOCK);
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0) {
        fail_errno(path.string());
    }
    if (!S_ISREG(status.st_mode)) {
        fail(EUCLEAN, path.string() + ": is no file; it doesn't belong there");
    }
    return fd;
}

}  // namespace

LayerFile LayerFile::create(const std::filesystem::path& path, FileWatcher* watcher) {
    tell(watcher, {.kind = FileChange::Kind::create, .path = path});
    return {path, open_file(path, O_RDWR | O_CREAT | O_EXCL, kPrivate), watcher};
}

LayerFile LayerFile::open(const std::filesystem::path& path, bool writable, FileWatcher* watcher) {
    return {path, open_regular(path, writable ? O_RDWR : O_RDONLY), watcher};
}

uint64_t LayerFile::size() const {
    struct stat status {};
    if (::fstat(fd_.get(), &status) != 0) {
        fail_errno(name());
    }
    return static_cast<uint64_t>(status.st_size);
}

size_t LayerFile::read_some(uint64_t offset, ByteSpan out) const {
    return imgfs::read_some(fd_.get(), offset, out, path_);
}

void LayerFile::write(uint64_t offset, ConstByteSpan bytes) {
    tell(watcher_, {FileChange::Kind::write, path_, offset, bytes});
    write_exactly(fd_.get(), offset, bytes, path_);
}

void LayerFile::sync() {
    tell(watcher_, {.kind = FileChange::Kind::sync, .path = path_});
    if (::fdatasync(fd_.get()) != 0) {
        fail_errno(name() + ": fdatasync");
    }
}

void LayerFile::truncate(uint64_t size) {
    tell(watcher_, {.kind = FileChange::Kind::truncate, .path = path_, .offset = size});
    if (::ftruncate(fd_.get(), static_cast<off_t>(size)) != 0) {
        fail_errno(name() + ": truncate");
    }
}

void LayerFile::allocate(uint64_t offset, uint64_t length) {
    tell(watcher_, {.kind = FileChange::Kind::allocate, .path = path_, .offset = offset});
    int result = 0;
    do {
        result = ::fallocate(fd_.get(), FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                             static_cast<off_t>(length));
    } while (result != 0 && errno == EINTR);
    if (result != 0 && (errno == EOPNOTSUPP || errno == ENOSYS)) {
        // What was allocated before and not written yet is no more there than this.
        check_free_space(fd_.get(), offset + length - std::min(size(), offset + length), name());
    } else if (result != 0) {
        fail_errno(name());
    }
}

void LayerFile::make_read_only() {
    if (::fchmod(fd_.get(), kSealed) != 0) {
        fail_errno(name());
    }
}

void LayerFile::forget_cached(uint64_t offset) const {
    ::posix_fadvise(fd_.get(), static_cast<off_t>(offset), 0, POSIX_FADV_DONTNEED);
}

void replace_watched(const std::filesystem::path& path, ConstByteSpan content,
                     FileWatcher* watcher) {
    tell(watcher, {.kind = FileChange::Kind::replace, .path = path, .bytes = content});
    replace_file(path, content, kPrivate);
}

void remove_watched(const std::filesystem::path& path, FileWatcher* watcher) {
    tell(watcher, {.kind = FileChange::Kind::remove, .path = path});
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
        fail_errno(path.string());
    }
}

void sync_folder_watched(const std::filesystem::path& path, FileWatcher* watcher) {
    tell(watcher, {.kind = FileChange::Kind::sync_folder, .path = path});
    sync_directory(path);
}

}  // namespace imgfs
