#include "fs/transfer/restore.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "fs/base/error.h"
#include "fs/base/fd.h"
#include "fs/base/text.h"
#include "fs/transfer/pending_file.h"
#include "fs/transfer/read_ahead.h"

namespace imgfs {
namespace {

constexpr size_t kPieceSize = 4 * kMiB;
constexpr size_t kZeroUnit = 64 * kKiB;  // shorter runs of zeros are cheaper written than skipped

bool is_zero(ConstByteSpan bytes) {
    return bytes.empty() ||
           (bytes[0] == std::byte{} && std::equal(bytes.begin() + 1, bytes.end(), bytes.begin()));
}

/// Is the device, by its number, the source of a mount?
std::string mounted_at(dev_t device) {
    std::ifstream table("/proc/self/mountinfo");
    const auto number = std::to_string(major(device)) + ":" + std::to_string(minor(device));
    for (std::string line; std::getline(table, line);) {
        std::istringstream words(line);
        std::string id;
        std::string parent;
        std::string found;
        std::string root;
        std::string mountpoint;
        if (words >> id >> parent >> found >> root >> mountpoint && found == number) {
            return mountpoint;
        }
    }
    return {};
}

RestoreTarget inspect_device(const std::filesystem::path& path, dev_t number, uint64_t size) {
    const auto name = path.string();
    if (const auto mountpoint = mounted_at(number); !mountpoint.empty()) {
        fail(EBUSY, name + ": is mounted at " + mountpoint + "; umount " + mountpoint + " first");
    }
    // O_EXCL on a block device fails while the kernel holds it: mounts, swap, RAID, device mapper.
    const int fd = ::open(path.c_str(), O_RDONLY | O_EXCL | O_CLOEXEC);
    if (fd < 0 && errno == EBUSY) {
        fail(EBUSY, name + ": is in use (swap, RAID, LVM or encryption?); release it first");
    }
    if (fd < 0) {
        fail_errno(name);
    }
    const Fd device(fd);
    uint64_t device_size = 0;
    if (::ioctl(device.get(), BLKGETSIZE64, &device_size) != 0) {
        fail_errno(name + ": size");
    }
    if (device_size < size) {
        fail(ENOSPC, name + ": has " + format_count(device_size) + " bytes, the partition needs " +
                         format_count(size) + "; choose a larger target");
    }
    return {path, TargetKind::block_device, device_size};
}

/// Where the bytes go: keeps the differences between a file and a device in one place.
class Target {
  public:
    /// `fd` must outlive it.
    Target(int fd, std::string name, TargetKind kind)
        : fd_(fd), name_(std::move(name)), kind_(kind) {}

    void write(uint64_t offset, ConstByteSpan bytes) { write_exactly(fd_, offset, bytes, name_); }

    /// A new file is all zeros already; a device has old content.
    void zero(uint64_t offset, uint64_t length) {
        if (kind_ != TargetKind::block_device) {
            return;
        }
        if (::fallocate(fd_, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                        static_cast<off_t>(length)) == 0) {
            return;
        }
        const Bytes zeros(kZeroUnit);
        for (uint64_t done = 0; done < length; done += zeros.size()) {
            const auto count = std::min<uint64_t>(zeros.size(), length - done);
            write(offset + done, ConstByteSpan(zeros).first(count));
        }
    }

  private:
    int fd_;
    std::string name_;
    TargetKind kind_;
};

void write_piece(Target& target, uint64_t offset, ConstByteSpan piece, RestoreResult& result) {
    for (size_t begin = 0; begin < piece.size();) {
        const auto unit = [&](size_t at) {
            return piece.subspan(at, std::min(kZeroUnit, piece.size() - at));
        };
        const bool zeros = is_zero(unit(begin));
        size_t end = begin + unit(begin).size();
        while (end < piece.size() && is_zero(unit(end)) == zeros) {
            end += unit(end).size();
        }
        if (zeros) {
            target.zero(offset + begin, end - begin);
            result.zeros += end - begin;
        } else {
            target.write(offset + begin, piece.subspan(begin, end - begin));
            result.written += end - begin;
        }
        begin = end;
    }
}

RestoreResult copy_all(const Source& partition, Target& target, const Progress& progress) {
    RestoreResult result;
    for_each_piece(partition, kPieceSize, progress, [&](uint64_t offset, ConstByteSpan piece) {
        write_piece(target, offset, piece, result);
    });
    return result;
}

RestoreResult restore_device(const Source& partition, const RestoreTarget& wanted,
                             const Progress& progress) {
    const auto name = wanted.path.string();
    const auto fd = open_file(wanted.path, O_WRONLY | O_EXCL);
    Target target(fd.get(), name, TargetKind::block_device);
    try {
        const auto result = copy_all(partition, target, progress);
        if (::fsync(fd.get()) != 0) {
            fail_errno(name + ": fsync");
        }
        return result;
    } catch (const std::exception& error) {
        fail(errno_of(error), message_of(error) + "; " + name + " is incomplete: restore it again");
    }
}

RestoreResult restore_file(const Source& partition, const RestoreTarget& wanted,
                           const Progress& progress) {
    PendingFile file(wanted.path);
    if (::ftruncate(file.fd(), static_cast<off_t>(partition.size())) != 0) {
        fail_errno(file.name());
    }
    Target target(file.fd(), file.name(), wanted.kind);
    const auto result = copy_all(partition, target, progress);
    file.finish();
    file.publish(wanted.path);
    sync_directory(wanted.path.parent_path());
    return result;
}

}  // namespace

RestoreTarget inspect_target(const std::filesystem::path& path, uint64_t size) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) {
        if (errno != ENOENT) {
            fail_errno(path.string());
        }
        return {path, TargetKind::new_file, 0};
    }
    if (S_ISBLK(status.st_mode)) {
        return inspect_device(path, status.st_rdev, size);
    }
    if (!S_ISREG(status.st_mode)) {
        fail(EINVAL, path.string() + ": neither a block device nor a file; name one of these");
    }
    // A link is followed once, here: the rename at the end must replace the file, not the link.
    return {std::filesystem::canonical(path), TargetKind::existing_file, 0};
}

RestoreResult restore(const Source& partition, const RestoreTarget& target,
                      const Progress& progress) {
    return target.kind == TargetKind::block_device ? restore_device(partition, target, progress)
                                                   : restore_file(partition, target, progress);
}

void compare_restored(const Source& partition, const std::filesystem::path& target,
                      const Progress& progress) {
    const auto fd = open_file(target, O_RDONLY);
    // Drops clean pages: what follows is read from the medium.
    ::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_DONTNEED);
    Bytes found;
    for_each_piece(partition, kPieceSize, progress, [&](uint64_t offset, ConstByteSpan expected) {
        found.resize(expected.size());
        found.resize(read_some(fd.get(), offset, found, target.string()));
        const auto [here, there] = std::ranges::mismatch(expected, found);
        if (here != expected.end()) {
            const auto at = offset + static_cast<uint64_t>(here - expected.begin());
            fail(EUCLEAN, target.string() + ": byte " + format_count(at) +
                              " reads back differently; the medium may be failing");
        }
    });
}

}  // namespace imgfs
