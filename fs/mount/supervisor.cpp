#include "fs/mount/supervisor.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <ctime>

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

sigset_t supervised_signals() {
    sigset_t signals;
    ::sigemptyset(&signals);
    for (const int signal : {SIGCHLD, SIGTERM, SIGINT, SIGHUP}) {
        ::sigaddset(&signals, signal);
    }
    return signals;
}

/// The child's wait status.
int wait_for_end(pid_t child, const sigset_t& signals) {
    for (;;) {
        int status = 0;
        if (::waitpid(child, &status, WNOHANG) == child) {
            return status;
        }
        siginfo_t what{};
        const int signal = ::sigwaitinfo(&signals, &what);
        // What the terminal sends (SI_KERNEL) the child gets itself if it is there.
        if (signal > 0 && signal != SIGCHLD && what.si_code != SI_KERNEL) {
            ::kill(child, SIGTERM);
        }
    }
}

/// wait_for_end(), and nothing dead is left then.
int watch_over(const std::string& mountpoint, pid_t child, const sigset_t& signals) {
    const int status = wait_for_end(child, signals);
    if (status != 0) {
        try {
            clean_up(mountpoint, child, status);
        } catch (const std::exception&) {  // nobody is left to tell
        }
    }
    return status;
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
    const auto signals = supervised_signals();
    sigset_t before;
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
    const int status = watch_over(mountpoint, child, signals);
    std::_Exit(WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE);
}

int supervise_in_foreground(const std::string& mountpoint, const std::function<int()>& serve) {
    const auto signals = supervised_signals();
    const pid_t parent = ::getpid();
    sigset_t before;
    ::sigprocmask(SIG_BLOCK, &signals, &before);
    const pid_t child = ::fork();
    if (child == 0) {
        ::sigprocmask(SIG_SETMASK, &before, nullptr);
        ::prctl(PR_SET_PDEATHSIG, SIGTERM);
        std::_Exit(::getppid() == parent ? serve() : EXIT_FAILURE);
    }
    const int error = errno;
    const int status = child < 0 ? 0 : watch_over(mountpoint, child, signals);
    // A Ctrl-C reaches both of us; the child's answer to it is the one that counts.
    const timespec no_time{};
    while (::sigtimedwait(&signals, nullptr, &no_time) > 0) {
    }
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
    if (child < 0) {
        fail(error, "fork");
    }
    return status;
}

}  // namespace imgfs
