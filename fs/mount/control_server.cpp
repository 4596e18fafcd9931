#include "fs/mount/control_server.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "fs/base/error.h"

namespace imgfs {
namespace {

constexpr std::chrono::seconds kPatience(5);

Fd make_event() {
    const int fd = ::eventfd(0, EFD_CLOEXEC);
    if (fd < 0) {
        fail_errno("eventfd");
    }
    return Fd(fd);
}

nlohmann::json error_answer(int code, const std::string& line) {
    return {{"error", line}, {"errno", code}};
}

}  // namespace

ControlServer::ControlServer(const std::string& socket_path, const ServedView& served)
    : listener_(listen_at(socket_path)), stop_event_(make_event()), served_(&served) {
    thread_ = std::thread([this] { work(); });
}

ControlServer::~ControlServer() {
    ::eventfd_write(stop_event_.get(), 1);
    thread_.join();
}

void ControlServer::forget_view() {
    const std::lock_guard lock(mutex_);
    served_ = nullptr;
}

void ControlServer::work() {
    for (;;) {
        std::array<pollfd, 2> wait{pollfd{listener_.get(), POLLIN, 0},
                                   pollfd{stop_event_.get(), POLLIN, 0}};
        if (::poll(wait.data(), wait.size(), -1) < 0 && errno == EINTR) {
            continue;
        }
        if (wait[1].revents != 0) {
            return;
        }
        Fd connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (connection && peer_is_trusted(connection.get())) {
            attend(std::move(connection));
        }
    }
}

void ControlServer::attend(Fd connection) {
    try {
        limit_waiting(connection.get(), kPatience);
        const auto verb = receive_line(connection.get());
        if (!verb) {
            return;  // somebody who only looked whether we are here
        }
        send_line(connection.get(),
                  answer(*verb).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
        if (*verb == "umount") {
            waiting_.push_back(std::move(connection));
        }
    } catch (const std::system_error&) {  // the other end is gone: nobody to tell
    }
}

nlohmann::json ControlServer::answer(const std::string& line) {
    const auto request = nlohmann::json::parse(line, nullptr, false);
    const auto verb = request.is_object() ? request.value("verb", "") : line;
    const std::lock_guard lock(mutex_);
    if (served_ == nullptr) {
        return error_answer(ENOTCONN, "the mount is ending");
    }
    try {
        nlohmann::json result = {{"ok", true}};
        if (verb == "status") {
            result["failure"] = served_->view.failure();
            if (served_->status) {
                result.update(served_->status());
            }
        } else if (verb == "sync" || verb == "umount") {
            served_->view.commit();
        } else if (verb == "seal") {
            seal(request);
        } else {
            return error_answer(EINVAL, "no such request");
        }
        return result;
    } catch (const std::exception& error) {
        return error_answer(errno_of(error), message_of(error));
    }
}

void ControlServer::seal(const nlohmann::json& request) {
    if (!served_->seal) {
        fail(EROFS, "nothing is changed through this mount");
    }
    served_->seal(request.value("point", ""), request.value("note", ""));
}

}  // namespace imgfs
