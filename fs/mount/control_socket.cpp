#include "fs/mount/control_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "fs/base/error.h"

namespace imgfs {
namespace {

constexpr size_t kLongestLine = kMiB;

sockaddr_un address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) {
        fail(ENAMETOOLONG, path + ": too long for a socket; set XDG_RUNTIME_DIR to a shorter path");
    }
    path.copy(address.sun_path, path.size());
    return address;
}

Fd make_socket() {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        fail_errno("socket");
    }
    return Fd(fd);
}

}  // namespace

Fd connect_to(const std::string& path) {
    const auto address = address_of(path);
    auto socket = make_socket();
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        if (errno == ENOENT) {
            errno = ECONNREFUSED;
        }
        fail_errno(path);
    }
    return socket;
}

Fd listen_at(const std::string& path) {
    const auto address = address_of(path);
    auto socket = make_socket();
    ::unlink(path.c_str());
    if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::chmod(path.c_str(), 0600) != 0 || ::listen(socket.get(), 16) != 0) {
        fail_errno(path);
    }
    return socket;
}

bool peer_is_trusted(int socket) {
    ucred peer{};
    socklen_t size = sizeof peer;
    return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           (peer.uid == 0 || peer.uid == ::geteuid());
}

void send_line(int socket, const std::string& line) {
    const auto text = line + "\n";
    size_t done = 0;
    while (done < text.size()) {
        const auto count = ::send(socket, text.data() + done, text.size() - done, MSG_NOSIGNAL);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            fail_errno("the other end of the control socket");
        }
        done += static_cast<size_t>(count);
    }
}

std::optional<std::string> receive_line(int socket) {
    std::string line;
    std::array<char, 4096> piece{};
    while (line.size() < kLongestLine) {
        const auto count = ::recv(socket, piece.data(), piece.size(), 0);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            return std::nullopt;
        }
        line.append(piece.data(), static_cast<size_t>(count));
        if (const auto end = line.find('\n'); end != std::string::npos) {
            return line.substr(0, end);
        }
    }
    return std::nullopt;
}

void limit_waiting(int socket, std::chrono::seconds limit) {
    const timeval time{.tv_sec = limit.count(), .tv_usec = 0};
    ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
    ::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
}

void wait_for_close(int socket) {
    while (receive_line(socket)) {
    }
}

}  // namespace imgfs
