#include "sync/channel.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "fs/base/error.h"

namespace imgsync {
namespace {

constexpr size_t kHeader = 5;
constexpr size_t kGathered = 128 * imgfs::kKiB;

[[noreturn]] void fail_lost() {
    imgfs::fail(ECONNRESET, "connection: lost; what is complete at the target stays, push again");
}

void make_nonblocking(int fd) {
    const int flags = ::fcntl(fd, F_GETFL);
    if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) {
        imgfs::fail_errno("connection");
    }
}

void wait_for(int fd, short events, int interrupt) {
    std::array<pollfd, 2> polled = {pollfd{fd, events, 0}, pollfd{interrupt, POLLIN, 0}};
    while (::poll(polled.data(), polled.size(), -1) < 0) {
        if (errno != EINTR) {
            imgfs::fail_errno("connection");
        }
    }
    if (polled[1].revents != 0) {
        imgfs::fail(ECANCELED, "interrupted; what is complete at the target stays, push again");
    }
}

/// write(2), but a closed socket is an error and not a signal.
ssize_t write_quietly(int fd, ConstByteSpan bytes) {
    const auto count = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    return count < 0 && errno == ENOTSOCK ? ::write(fd, bytes.data(), bytes.size()) : count;
}

}  // namespace

FrameReader::FrameReader(const Wires& wires) : wires_(wires) {
    make_nonblocking(wires.in);
}

bool FrameReader::is_ready() const {
    return available() >= kHeader &&
           available() >= kHeader + imgfs::load<uint32_t>(buffer_, start_);
}

Frame FrameReader::next() {
    while (available() < kHeader) {
        read_more();
    }
    const auto length = imgfs::load<uint32_t>(buffer_, start_);
    if (length > kLargestPayload) {
        fail_protocol("a frame of " + std::to_string(length) + " bytes");
    }
    while (available() < kHeader + length) {
        read_more();
    }
    const auto frame = ConstByteSpan(buffer_).subspan(start_, kHeader + length);
    start_ += frame.size();
    return {static_cast<FrameType>(imgfs::load<uint8_t>(frame, 4)), frame.subspan(kHeader)};
}

void FrameReader::read_more() {
    if (start_ > 0) {
        buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<ptrdiff_t>(start_));
        start_ = 0;
    }
    const auto old_size = buffer_.size();
    buffer_.resize(old_size + kGathered);
    ssize_t count = -1;
    do {
        wait_for(wires_.in, POLLIN, wires_.interrupt);
        count = ::read(wires_.in, buffer_.data() + old_size, kGathered);
    } while (count < 0 && (errno == EINTR || errno == EAGAIN));
    if (count <= 0) {
        fail_lost();
    }
    buffer_.resize(old_size + static_cast<size_t>(count));
    bytes_ += static_cast<uint64_t>(count);
}

FrameWriter::FrameWriter(const Wires& wires) : wires_(wires) {
    make_nonblocking(wires.out);
}

void FrameWriter::put(FrameType type, ConstByteSpan payload) {
    const auto at = buffer_.size();
    buffer_.resize(at + kHeader);
    imgfs::store(buffer_, at, static_cast<uint32_t>(payload.size()));
    imgfs::store(buffer_, at + 4, static_cast<uint8_t>(type));
    buffer_.insert(buffer_.end(), payload.begin(), payload.end());
    if (buffer_.size() >= kGathered) {
        flush();
    }
}

void FrameWriter::flush() {
    ConstByteSpan left = buffer_;
    while (!left.empty()) {
        const auto count = write_quietly(wires_.out, left);
        if (count >= 0) {
            left = left.subspan(static_cast<size_t>(count));
        } else if (errno == EAGAIN) {
            wait_for(wires_.out, POLLOUT, wires_.interrupt);
        } else if (errno != EINTR) {
            fail_lost();
        }
    }
    bytes_ += buffer_.size();
    buffer_.clear();
}

}  // namespace imgsync
