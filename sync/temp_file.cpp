#include "sync/temp_file.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "fs/base/checksum.h"
#include "fs/base/error.h"
#include "fs/base/text.h"

namespace imgsync {
namespace {

constexpr std::string_view kPrefix = ".imgsync.";
constexpr size_t kDigits = 16;
constexpr size_t kBlock = 4 * imgfs::kKiB;

}  // namespace

std::string temporary_name() {
    std::array<std::byte, kDigits / 2> random{};
    if (::getrandom(random.data(), random.size(), 0) != static_cast<ssize_t>(random.size())) {
        imgfs::fail_errno("random numbers");
    }
    return std::string(kPrefix) + imgfs::hex(random);
}

bool is_temporary_name(std::string_view name) {
    return name.size() == kPrefix.size() + kDigits && name.starts_with(kPrefix) &&
           name.find_first_not_of("0123456789abcdef", kPrefix.size()) == std::string_view::npos;
}

TempName::~TempName() {
    if (!renamed_) {
        ::unlinkat(directory_, name_.c_str(), 0);
    }
}

void TempName::rename_to(const std::string& name, const std::string& path) {
    if (::renameat(directory_, name_.c_str(), directory_, name.c_str()) != 0) {
        imgfs::fail_errno(imgfs::printable(path) + ": putting it in place");
    }
    renamed_ = true;
}

bool TempName::make(const Entry& entry) const {
    const auto* name = name_.c_str();
    int result = 0;
    switch (entry.kind) {
        case Kind::symlink:
            result = ::symlinkat(entry.symlink_target.c_str(), directory_, name);
            break;
        case Kind::fifo:
            result = ::mknodat(directory_, name, S_IFIFO | 0600, 0);
            break;
        case Kind::socket:
            result = ::mknodat(directory_, name, S_IFSOCK | 0600, 0);
            break;
        case Kind::character:
        case Kind::block:
            result =
                ::mknodat(directory_, name, (entry.kind == Kind::block ? S_IFBLK : S_IFCHR) | 0600u,
                          makedev(entry.major, entry.minor));
            break;
        default:
            fail_protocol("a file without content");
    }
    if (result != 0 && errno == EPERM && ::geteuid() != 0) {
        return false;
    }
    if (result != 0) {
        imgfs::fail_errno(imgfs::printable(entry.name));
    }
    return true;
}

bool is_zero(ConstByteSpan bytes) {
    return bytes.empty() || (bytes[0] == std::byte{0} &&
                             std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

TempFile::TempFile(int directory, std::string path) : name_(directory), path_(std::move(path)) {
    const int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    file_ = Fd(::openat(directory, name_.name().c_str(), flags, 0600));
    if (!file_) {
        imgfs::fail_errno(imgfs::printable(path_));
    }
}

void TempFile::write(ConstByteSpan bytes) {
    while (!bytes.empty()) {
        const auto piece_at = [&](size_t at) {
            const auto to_boundary = kBlock - (offset_ + at) % kBlock;
            return bytes.subspan(at, std::min<size_t>(to_boundary, bytes.size() - at));
        };
        const auto is_hole = [&](size_t at) {
            const auto piece = piece_at(at);
            return piece.size() == kBlock && is_zero(piece);
        };
        size_t count = 0;
        while (count < bytes.size() && !is_hole(count)) {
            count += piece_at(count).size();
        }
        imgfs::write_exactly(file_.get(), offset_, bytes.first(count), imgfs::printable(path_));
        written_ = count > 0 ? offset_ + count : written_;
        while (count < bytes.size() && is_hole(count)) {
            count += kBlock;
        }
        offset_ += count;
        bytes = bytes.subspan(count);
    }
}

void TempFile::skip_zeros(uint64_t count) {
    if (count > INT64_MAX - offset_) {
        fail_protocol("a file longer than files can be");
    }
    offset_ += count;
}

void TempFile::end() {
    if (written_ == offset_) {
        return;  // no hole at the end; on a mount each call is a request to its daemon
    }
    if (::ftruncate(file_.get(), static_cast<off_t>(offset_)) != 0) {
        imgfs::fail_errno(imgfs::printable(path_) + ": length");
    }
}

void TempFile::close() {
    file_.close_checked(imgfs::printable(path_));
}

}  // namespace imgsync
