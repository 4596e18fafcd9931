#include "fs/mount/daemon.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <iostream>

#include "fs/base/error.h"
#include "fs/base/fd.h"
#include "fs/base/text.h"
#include "fs/mount/control_server.h"
#include "fs/mount/mount_record.h"
#include "fs/mount/mountpoint.h"
#include "fs/mount/stop_signals.h"
#include "fs/mount/supervisor.h"

namespace imgfs {
namespace {

using Announce = std::function<void()>;

void log(const std::string& line) {
    std::cerr << ("imgfs: " + format_local(std::chrono::system_clock::now()) + " " + line + "\n")
              << std::flush;
}

Fd open_log(const std::string& path) {
    return open_file(path, O_WRONLY | O_APPEND | O_CREAT, 0600);
}

/// One mount in the process that serves it: its record, its socket, its end.
class Serving {
  public:
    Serving(const MountJob& job, MountRecord record, Announce announce)
        : job_(job), record_(std::move(record)), announce_(std::move(announce)) {
        record_.pid = ::getpid();
    }

    /// Throws what went wrong; if that was after the announcement, it is on record by then.
    void run() {
        try {
            job_.open([this](const ServedView& served) { serve_view(served); });
        } catch (const std::exception& error) {
            end(message_of(error));
            throw;
        }
        end("");
    }

  private:
    void serve_view(const ServedView& served) {
        auto options = job_.options;
        options.read_only = options.read_only || served.view.read_only();
        record_.delta_folder = served.delta_folder;
        record_.read_only = options.read_only;
        try {
            serve(served.view, record_.mountpoint, options, [&] { begin(served); });
            if (!options.read_only) {
                served.view.commit();  // signals_ are still caught: a second Ctrl-C can't end it
            }
        } catch (...) {
            forget_view();
            throw;
        }
        forget_view();
        if (!announced_) {
            fail(EIO, printable(record_.mountpoint) + ": unmounted before it answered");
        }
    }

    void begin(const ServedView& served) {
        control_.emplace(socket_path(record_).string(), served);
        record_.started = std::chrono::system_clock::now();
        write_record(record_);
        signals_.emplace([this](int signal) {
            log(printable(record_.mountpoint) + ": signal " + std::to_string(signal) +
                ": unmounting");
            stop_serving();
        });
        announce_();
        announced_ = true;
    }

    void forget_view() {
        if (control_) {
            control_->forget_view();
        }
    }

    void end(const std::string& error) {
        if (!control_) {
            return;  // nothing of ours is there yet
        }
        if (!announced_ || error.empty()) {
            remove_record(record_);
        } else {
            log(error);
            record_.ended = std::chrono::system_clock::now();
            record_.error = error;
            write_record(record_);
        }
        control_.reset();  // lets go who waits for the end
    }

    const MountJob& job_;
    MountRecord record_;
    const Announce announce_;
    bool announced_ = false;
    std::optional<ControlServer> control_;
    std::optional<StopSignals> signals_;  // to the very end
};

/// How the daemon tells the caller's process what became of the mount: one line of JSON.
void tell_caller(Fd& pipe, const nlohmann::json& message) {
    const auto text = message.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    const auto count = ::write(pipe.get(), text.data(), text.size());
    pipe.close();
    if (count < 0) {
        fail_errno("the command that mounts is gone");
    }
}

/// The whole life of the child that serves; its exit status. `caller` is told of an error unless it
/// was closed by then.
int serve_and_tell(const MountJob& job, const MountRecord& record, Fd& caller,
                   const Announce& announce) {
    ::signal(SIGPIPE, SIG_IGN);
    try {
        Serving(job, record, announce).run();
        return EXIT_SUCCESS;
    } catch (const std::exception& error) {
        if (caller) {
            std::cerr << std::flush;
            try {
                tell_caller(caller, {{"error", message_of(error)}, {"errno", errno_of(error)}});
            } catch (const std::system_error&) {  // nobody is left to tell
            }
        }
        return EXIT_FAILURE;
    }
}

int serve_in_background(const MountJob& job, const MountRecord& record, Fd caller) {
    return serve_and_tell(job, record, caller, [&] {
        ::setsid();
        redirect_standard_streams(open_log(record.log));
        if (::chdir("/") != 0) {
            fail_errno("/");
        }
        tell_caller(caller, {{"ready", true}});
    });
}

int serve_in_foreground(const MountJob& job, const MountRecord& record, Fd& caller) {
    return serve_and_tell(job, record, caller, [&] {
        if (!record.log.empty()) {
            const auto to = open_log(record.log);
            std::cerr << std::flush;
            ::dup2(to.get(), STDERR_FILENO);
        }
    });
}

struct Pipe {
    Fd reader;
    Fd writer;
};

Pipe make_pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
        fail_errno("pipe");
    }
    std::cout << std::flush;  // or a child would write it once more
    std::cerr << std::flush;
    return {Fd(ends[0]), Fd(ends[1])};
}

std::string read_to_end(const Fd& pipe) {
    std::string text;
    std::array<char, 4096> piece{};
    for (;;) {
        const auto count = ::read(pipe.get(), piece.data(), piece.size());
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            return text;
        }
        text.append(piece.data(), static_cast<size_t>(count));
    }
}

nlohmann::json message_in(const Fd& pipe) {
    auto message = nlohmann::json::parse(read_to_end(pipe), nullptr, false);
    return message.is_object() ? message : nlohmann::json::object();
}

void throw_if_error(const nlohmann::json& message) {
    if (message.contains("error")) {
        fail(message.value("errno", EIO), message.value("error", "failed"));
    }
}

void wait_until_ready(const Fd& pipe, pid_t supervisor, const MountRecord& record) {
    const auto message = message_in(pipe);
    if (message.contains("ready")) {
        return;
    }
    while (::waitpid(supervisor, nullptr, 0) < 0 && errno == EINTR) {
    }
    throw_if_error(message);
    fail(EIO, printable(record.mountpoint) + ": the daemon died before the mount answered");
}

void run_in_background(const MountJob& job, const MountRecord& record) {
    open_log(record.log);  // so that it is the caller who learns that it can't be written
    auto [reader, writer] = make_pipe();
    const pid_t supervisor = ::fork();
    if (supervisor < 0) {
        fail_errno("fork");
    }
    if (supervisor == 0) {
        supervise(record.mountpoint, std::move(writer),
                  [&](Fd caller) { return serve_in_background(job, record, std::move(caller)); });
    }
    writer.close();
    wait_until_ready(reader, supervisor, record);
}

void run_in_foreground(const MountJob& job, const MountRecord& record) {
    auto pipe = make_pipe();
    const int status = supervise_in_foreground(record.mountpoint, [&] {
        pipe.reader.close();
        return serve_in_foreground(job, record, pipe.writer);
    });
    pipe.writer.close();
    throw_if_error(message_in(pipe.reader));
    if (status == 0) {
        return;
    }
    const int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    if (signal == SIGINT || signal == SIGTERM || signal == SIGHUP) {
        ::raise(signal);  // before the mount answered: it ends us as it ended the child
    }
    fail(EIO, printable(record.mountpoint) + ": the daemon died" +
                  (signal != 0 ? " of signal " + std::to_string(signal) : "") +
                  "; what was not committed is lost");
}

}  // namespace

void run_mount(const MountJob& job) {
    check_may_mount();
    MountRecord record{.mountpoint = checked_mountpoint(job.mountpoint), .image = job.image};
    if (!job.log.empty()) {
        record.log = std::filesystem::absolute(job.log).string();
    } else if (!job.foreground) {
        record.log = default_log(record.mountpoint).string();
    }
    job.foreground ? run_in_foreground(job, record) : run_in_background(job, record);
}

}  // namespace imgfs
