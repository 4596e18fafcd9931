#include "sync/file_sender.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "fs/base/error.h"
#include "fs/base/text.h"
#include "sync/temp_file.h"

namespace imgsync {
namespace {

constexpr size_t kBlock = 4 * imgfs::kKiB;

/// Reading for a backup leaves no trace in the access time, where that is allowed.
Fd open_source(const SourceFile& file, const std::string& shown) {
    const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    const int directory = file.directory->fd.get();
    Fd fd(::openat(directory, file.name.c_str(), flags | O_NOATIME));
    if (!fd && errno == EPERM) {
        fd = Fd(::openat(directory, file.name.c_str(), flags));
    }
    if (!fd) {
        imgfs::fail_errno(imgfs::printable(shown));
    }
    return fd;
}

/// Where data begins at or after `offset`; `size` if nothing but a hole follows.
uint64_t data_start(int fd, uint64_t offset, uint64_t size) {
    const auto start = ::lseek(fd, static_cast<off_t>(offset), SEEK_DATA);
    if (start < 0) {
        return errno == ENXIO ? size : offset;
    }
    return std::clamp<uint64_t>(static_cast<uint64_t>(start), offset, size);
}

}  // namespace

void add_zeros(imgfs::Xxh128& hash, uint64_t count) {
    static constexpr std::array<std::byte, 64 * imgfs::kKiB> kZeros{};
    while (count > 0) {
        const auto piece = std::min<uint64_t>(count, kZeros.size());
        hash.update(ConstByteSpan(kZeros).first(piece));
        count -= piece;
    }
}

void FileSender::send(const Want& want, Signature* signature, const SourceFile& file,
                      const std::string& shown) {
    fd_ = open_source(file, shown);
    shown_ = shown;
    struct stat status {};
    if (::fstat(fd_.get(), &status) != 0) {
        imgfs::fail_errno(imgfs::printable(shown));
    }
    if (!S_ISREG(status.st_mode)) {
        imgfs::fail(ENOENT, imgfs::printable(shown) + ": is no file any more");
    }
    check_identity(file.identity, fd_.get(), shown);
    size_ = static_cast<uint64_t>(status.st_size);
    hash_.reset();
    if (want.how == How::compare) {
        const bool same = has_hash(want.hash);
        check_identity(file.identity, fd_.get(), shown);
        writer_.put(same ? FrameType::same : FrameType::differs, pack_number(want.id));
        return;
    }
    // The time is that before the read: if the file changes meanwhile, the next push sees it.
    const Begin begin{
        .id = want.id, .how = want.how, .size = size_, .modified = modified_of(status)};
    writer_.put(FrameType::begin, pack(begin));
    if (signature != nullptr) {
        send_delta(*signature);
    } else {
        send_whole();
    }
    // What was written into it after a change of its mode must not travel under the old one.
    check_identity(file.identity, fd_.get(), shown);
    writer_.put(FrameType::end, hash_.digest());
    ++counts_.files;
    counts_.content += size_;
}

/// Only what the file had at its beginning: a log that grows as it is read would never end.
size_t FileSender::read_piece(uint64_t offset, ByteSpan out) {
    const auto wanted = std::min<uint64_t>(out.size(), size_ - std::min(offset, size_));
    const auto count =
        imgfs::read_some(fd_.get(), offset, out.first(wanted), imgfs::printable(shown_));
    counts_.read += count;
    tick_();
    return count;
}

void FileSender::send_whole() {
    Bytes buffer(kDataPiece);
    for (uint64_t offset = 0; offset < size_;) {
        const auto start = imgfs::round_down(data_start(fd_.get(), offset, size_), kBlock);
        if (start > offset) {
            send_zeros(start - offset);
            offset = start;
        }
        if (data_start(fd_.get(), offset, size_) == size_) {
            send_zeros(size_ - offset);
            return;
        }
        const auto count = read_piece(offset, buffer);
        if (count == 0) {
            return;
        }
        send_data(offset, ByteSpan(buffer).first(count));
        offset += count;
    }
}

/// Zero blocks at multiples of the block size travel as their number.
void FileSender::send_data(uint64_t offset, ByteSpan piece) {
    while (!piece.empty()) {
        const auto is_zero_at = [&](size_t at) {
            return (offset + at) % kBlock == 0 && at + kBlock <= piece.size() &&
                   is_zero(piece.subspan(at, kBlock));
        };
        size_t zeros = 0;
        while (is_zero_at(zeros)) {
            zeros += kBlock;
        }
        if (zeros > 0) {
            send_zeros(zeros);
        }
        size_t end = zeros;
        while (end < piece.size() && !is_zero_at(end)) {
            end = std::min(end + kBlock, piece.size());
        }
        if (end > zeros) {
            const auto data = piece.subspan(zeros, end - zeros);
            hash_.update(data);
            writer_.put(FrameType::data, data);
            counts_.sent += data.size();
        }
        offset += end;
        piece = piece.subspan(end);
    }
}

void FileSender::send_zeros(uint64_t count) {
    add_zeros(hash_, count);
    writer_.put(FrameType::zeros, pack_number(count));
}

void FileSender::send_delta(Signature& signature) {
    uint64_t offset = 0;
    const auto feed = [&](ByteSpan out) {
        const auto count = read_piece(offset, out);
        hash_.update(out.first(count));
        offset += count;
        return count;
    };
    signature.make_delta(feed, [this](ConstByteSpan delta) {
        writer_.put(FrameType::delta, delta);
        counts_.sent += delta.size();
    });
}

bool FileSender::has_hash(const Hash128& wanted) {
    Bytes buffer(kDataPiece);
    for (uint64_t offset = 0;;) {
        const auto count = read_piece(offset, buffer);
        if (count == 0) {
            break;
        }
        hash_.update(ConstByteSpan(buffer).first(count));
        offset += count;
    }
    return hash_.digest() == wanted;
}

}  // namespace imgsync
