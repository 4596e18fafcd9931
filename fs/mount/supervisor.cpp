#include "fs/mount/supervisor.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "fs/base/error.h"
#include "fs/mount/mount_record.h"
#include "fs/mount/mountpoint.h"

namespace imgfs {
namespace {

void close_all_but(int kept) {
    if (kept > 3) {
        ::close_range(3, static_cast<unsigned>(kept) - 1, 0);
    }
    ::close_range(static_cast<unsigned>(kept) + 1, ~0U, 0);
}

void clean_up(const std::string& mountpoint, pid_t daemon, int status) {
    if (is_dead_mount(mountpoint)) {
        unmount_path(mountpoint, Unmount::lazily);
    }
    auto record = read_record(mountpoint, daemon);
    if (!record || record->ended) {
        return;
    }
    record->ended = std::chrono::system_clock::now();
    record->error = WIFSIGNALED(status)
                        ? "the daemon was killed by signal " + std::to_string(WTERMSIG(status))
                        : "the daemon exited with status " + std::to_string(WEXITSTATUS(status));
    record->error += "; what was not committed is lost";
    write_record(*record);
}

/// The child's wait status.
int wait_for(pid_t child, const sigset_t& signals) {
    for (;;) {
        int status = 0;
        if (::waitpid(child, &status, WNOHANG) == child) {
            return status;
        }
        const int signal = ::sigwaitinfo(&signals, nullptr);
        if (signal > 0 && signal != SIGCHLD) {
            ::kill(child, SIGTERM);
        }
    }
}

}  // namespace

void redirect_standard_streams(const Fd& output) {
    const Fd nothing(::open("/dev/null", O_RDWR | O_CLOEXEC));
    const int fd = output ? output.get() : nothing.get();
    ::dup2(nothing.get(), STDIN_FILENO);
    ::dup2(fd, STDOUT_FILENO);
    ::dup2(fd, STDERR_FILENO);
}

void supervise(const std::string& mountpoint, Fd kept, const std::function<int(Fd kept)>& serve) {
    close_all_but(kept.get());
    sigset_t signals;
    sigset_t before;
    ::sigemptyset(&signals);
    for (const int signal : {SIGCHLD, SIGTERM, SIGINT, SIGHUP}) {
        ::sigaddset(&signals, signal);
    }
    ::sigprocmask(SIG_BLOCK, &signals, &before);
    const pid_t child = ::fork();
    if (child == 0) {
        // Still of the caller's process group: until the mount answers, Ctrl-C just ends it.
        ::sigprocmask(SIG_SETMASK, &before, nullptr);
        std::_Exit(serve(std::move(kept)));
    }
    kept.close();
    ::setsid();
    redirect_standard_streams({});
    if (child < 0 || ::chdir("/") != 0) {
        std::_Exit(EXIT_FAILURE);
    }
    const int status = wait_for(child, signals);
    if (status != 0) {
        try {
            clean_up(mountpoint, child, status);
        } catch (const std::exception&) {  // nobody is left to tell
        }
    }
    std::_Exit(WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE);
}

}  // namespace imgfs
