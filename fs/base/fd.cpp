#include "fs/base/fd.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "fs/base/error.h"

namespace imgfs {

Fd& Fd::operator=(Fd&& other) noexcept {
    if (this != &other) {
        close();
        fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
}

void Fd::close() {
    if (fd_ >= 0) {
        ::close(std::exchange(fd_, -1));
    }
}

void Fd::close_checked(const std::string& name) {
    if (fd_ >= 0 && ::close(std::exchange(fd_, -1)) != 0) {
        fail_errno(name + ": close");
    }
}

Fd open_file(const std::filesystem::path& path, int flags, unsigned mode) {
    const int fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
    if (fd < 0) {
        fail_errno(path.string());
    }
    return Fd(fd);
}

size_t read_some(int fd, uint64_t offset, ByteSpan out, const std::string& name) {
    size_t done = 0;
    while (done < out.size()) {
        const auto count =
            ::pread(fd, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            fail_errno(name + ": read at byte " + std::to_string(offset + done));
        }
        if (count == 0) {
            break;
        }
        done += static_cast<size_t>(count);
    }
    return done;
}

void write_exactly(int fd, uint64_t offset, ConstByteSpan bytes, const std::string& name) {
    size_t done = 0;
    while (done < bytes.size()) {
        const auto count = ::pwrite(fd, bytes.data() + done, bytes.size() - done,
                                    static_cast<off_t>(offset + done));
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            fail_errno(name + ": write at byte " + std::to_string(offset + done));
        }
        done += static_cast<size_t>(count);
    }
}

Bytes read_file(const std::filesystem::path& path, uint64_t limit) {
    const auto fd = open_file(path, O_RDONLY);
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0) {
        fail_errno(path.string());
    }
    const auto size = static_cast<uint64_t>(status.st_size);
    if (size > limit) {
        fail(EFBIG, path.string() + ": larger than such a file can be");
    }
    Bytes content(size);
    content.resize(read_some(fd.get(), 0, content, path.string()));
    return content;
}

void replace_file(const std::filesystem::path& path, ConstByteSpan content, unsigned mode) {
    auto temporary = path;
    temporary += ".new";
    try {
        ::unlink(temporary.c_str());  // whatever stands there, also a link
        const auto fd = open_file(temporary, O_WRONLY | O_CREAT | O_EXCL, mode);
        write_exactly(fd.get(), 0, content, temporary.string());
        if (::fsync(fd.get()) != 0) {
            fail_errno(temporary.string() + ": fsync");
        }
        if (::rename(temporary.c_str(), path.c_str()) != 0) {
            fail_errno(path.string());
        }
    } catch (...) {
        ::unlink(temporary.c_str());  // on a full disk it would keep what others need
        throw;
    }
    sync_directory(path.parent_path());
}

void sync_directory(const std::filesystem::path& directory) {
    const auto fd = open_file(directory.empty() ? "." : directory, O_RDONLY | O_DIRECTORY);
    // Some file systems (network ones) can't sync a directory and say EINVAL: nothing more to do
    // there.
    if (::fsync(fd.get()) != 0 && errno != EINVAL) {
        fail_errno(directory.string() + ": fsync");
    }
}

}  // namespace imgfs
