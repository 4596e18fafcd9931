#include "tests/support/ssh_server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <vector>

#include "fs/base/error.h"
#include "fs/base/fd.h"
#include "tests/support/shell.h"

namespace imgfs {
namespace {

sockaddr_in loopback(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

int free_port() {
    const Fd probe(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    auto address = loopback(0);
    socklen_t length = sizeof address;
    if (::bind(probe.get(), reinterpret_cast<sockaddr*>(&address), length) != 0 ||
        ::getsockname(probe.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) {
        fail_errno("a free port");
    }
    return ntohs(address.sin_port);
}

bool answers(int port) {
    const Fd probe(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto address = loopback(port);
    return ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

}  // namespace

SshServer::SshServer() : port_(free_port()) {
    const auto path = directory_.path().string();
    run("mkdir -p /run/sshd; cd " + shell_quoted(path) +
        "; ssh-keygen -q -t ed25519 -N '' -f host; ssh-keygen -q -t ed25519 -N '' -f user; "
        "cp user.pub authorized; printf '%s\\n' 'HostKey " +
        path + "/host' 'AuthorizedKeysFile " + path +
        "/authorized' 'StrictModes no' 'UsePAM no' 'PermitRootLogin yes' 'PidFile none' "
        "'ListenAddress 127.0.0.1' 'PasswordAuthentication no' > config");
    std::vector<std::string> words = {
        "/usr/sbin/sshd",      "-D", "-f",         path + "/config", "-p",
        std::to_string(port_), "-E", path + "/log"};
    std::vector<char*> argv;
    for (auto& word : words) {
        argv.push_back(word.data());
    }
    argv.push_back(nullptr);
    if (::posix_spawn(&process_, argv[0], nullptr, nullptr, argv.data(), environ) != 0) {
        fail_errno("sshd");
    }
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!answers(port_)) {
        if (std::chrono::steady_clock::now() > deadline) {
            ADD_FAILURE() << "sshd doesn't answer: " << run("cat " + shell_quoted(path + "/log"));
            return;
        }
        ::usleep(10'000);
    }
}

SshServer::~SshServer() {
    ::kill(process_, SIGTERM);
    ::waitpid(process_, nullptr, 0);
}

std::string SshServer::ssh_command() const {
    const auto path = directory_.path().string();
    return "ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=no -o "
           "UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o IdentitiesOnly=yes -i " +
           path + "/user -p " + std::to_string(port_);
}

}  // namespace imgfs
