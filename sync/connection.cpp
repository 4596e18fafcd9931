#include "sync/connection.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <exception>

#include "fs/base/error.h"
#include "sync/serve.h"

namespace imgsync {

std::vector<std::string> ssh_command(const RemoteEnd& remote) {
    if (remote.host.starts_with('-')) {
        imgfs::fail(EINVAL, remote.host + ": not a host name");
    }
    auto command = remote.ssh;
    if (command.empty()) {
        imgfs::fail(EINVAL, "--ssh: needs a command, for example 'ssh -p 2222'");
    }
    command.insert(command.end(), {remote.host, remote.program, "serve"});
    return command;
}

Connection::Connection(const RemoteEnd& remote) {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
        imgfs::fail_errno("connection");
    }
    socket_ = imgfs::Fd(ends[0]);
    imgfs::Fd far(ends[1]);
    if (!remote.host.empty()) {
        start_ssh(remote, std::move(far));
        return;
    }
    thread_ = std::thread([end = std::move(far)] {
        try {
            serve({.in = end.get(), .out = end.get()});
        } catch (const std::exception&) {
            // The source has been told, or the connection is what failed.
            ::shutdown(end.get(), SHUT_RDWR);
        }
    });
}

void Connection::start_ssh(const RemoteEnd& remote, imgfs::Fd far) {
    auto command = ssh_command(remote);
    std::vector<char*> words;
    words.reserve(command.size() + 1);
    for (auto& word : command) {
        words.push_back(word.data());
    }
    words.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, far.get(), STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, far.get(), STDOUT_FILENO);
    const int code = ::posix_spawnp(&process_, words[0], &actions, nullptr, words.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    if (code != 0) {
        process_ = 0;
        imgfs::fail(
            code, command.front() + ": can't be started: " + std::generic_category().message(code));
    }
}

int Connection::finish() {
    ::shutdown(socket_.get(), SHUT_RDWR);
    if (thread_.joinable()) {
        thread_.join();
    }
    int status = 0;
    if (process_ > 0) {
        while (::waitpid(process_, &status, 0) < 0 && errno == EINTR) {
        }
        process_ = 0;
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

Connection::~Connection() {
    if (process_ > 0) {
        ::kill(process_, SIGTERM);  // it might wait long for an answer of a dead network
    }
    finish();
}

}  // namespace imgsync
