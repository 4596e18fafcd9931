#include "fs/mount/fuse_mount.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdarg>
#include <cstdio>
#include <fstream>

#include "fs/base/fd.h"
#include "fs/base/text.h"
#include "fs/mount/fuse_operations.h"
#include "fs/mount/mounted_view.h"
#include "fs/mount/mountpoint.h"
#include "fs/mount/request_loop.h"

namespace imgfs {
namespace {

// Read-ahead in flight. As many as the kernel can count: those that wait for an indexing pass are
// among them and must not keep others out. Each file has one or two at a time.
constexpr unsigned kBackgroundRequests = UINT16_MAX;
constexpr uint64_t kReadAhead = kMiB;

void set(fuse_conn_info& connection, unsigned capabilities, bool on) {
    if (on) {
        connection.want |= connection.capable & capabilities;
    } else {
        connection.want &= ~capabilities;
    }
}

// Says to the kernel how we want to be asked.
void agree(void* user_data, fuse_conn_info* connection) {
    const auto& mounted = *static_cast<MountedView*>(user_data);
    // Set-uid bits are cleared by the kernel (a setattr of ours), so are files opened with O_TRUNC:
    // it knows who may keep them.
    set(*connection, FUSE_CAP_HANDLE_KILLPRIV | FUSE_CAP_ATOMIC_O_TRUNC, false);
    // Nobody else writes: what is cached stays true when a time changes.
    set(*connection, FUSE_CAP_AUTO_INVAL_DATA, false);
    set(*connection, FUSE_CAP_EXPLICIT_INVAL_DATA, true);
    set(*connection, FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_ASYNC_DIO, true);
    set(*connection, FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO, true);
    set(*connection, FUSE_CAP_DONT_MASK, true);  // a default ACL overrides the umask
    set(*connection, FUSE_CAP_POSIX_ACL, mounted.check_permissions());
    // With it a full disk would be told at close only, where few look, and what nobody synced would
    // stay in the kernel for half a minute.
    set(*connection, FUSE_CAP_WRITEBACK_CACHE, false);
    // A request that must be tried again has to lie in memory.
    set(*connection, FUSE_CAP_SPLICE_READ, false);
    connection->max_background = kBackgroundRequests;
    connection->congestion_threshold = kBackgroundRequests * 3 / 4;
    connection->time_gran = 1;
}

// libfuse tells why a mount failed through its log only.
thread_local std::string last_fuse_message;

__attribute__((format(printf, 2, 0))) void keep_message(fuse_log_level, const char* format,
                                                        va_list arguments) {
    std::array<char, 512> line{};
    if (std::vsnprintf(line.data(), line.size(), format, arguments) > 0) {
        last_fuse_message = line.data();
        std::erase(last_fuse_message, '\n');
    }
}

class FuseArguments {
  public:
    FuseArguments() { add_word("imgfs"); }
    FuseArguments(const FuseArguments&) = delete;
    FuseArguments& operator=(const FuseArguments&) = delete;
    ~FuseArguments() { fuse_opt_free_args(&arguments_); }

    void add_word(const char* word) {
        if (fuse_opt_add_arg(&arguments_, word) != 0) {
            throw std::bad_alloc();
        }
    }
    fuse_args* get() { return &arguments_; }

  private:
    fuse_args arguments_ = FUSE_ARGS_INIT(0, nullptr);
};

// A comma would end the option.
std::string escaped(const std::string& value) {
    std::string result;
    for (const char c : value) {
        if (c == ',' || c == '\\') {
            result += '\\';
        }
        result += c;
    }
    return result;
}

std::string mount_options(const MountedView& mounted, const MountOptions& options) {
    std::string words = "subtype=imgfs,fsname=" + escaped(options.source);
    words += mounted.read_only() ? ",ro" : "";
    words += options.allow_other ? ",allow_other" : "";
    words += mounted.check_permissions() ? ",default_permissions" : "";
    // Without these libfuse and fusermount3 mount with nosuid,nodev.
    const bool root = ::geteuid() == 0;
    words += options.suid && root ? ",suid" : "";
    words += options.dev && root ? ",dev" : "";
    words += options.noexec ? ",noexec" : "";
    return words;
}

/// A mounted session; its end unmounts.
class Session {
  public:
    Session(MountedView& mounted, const std::string& mountpoint, const MountOptions& options) {
        fuse_set_log_func(keep_message);
        FuseArguments arguments;
        arguments.add_word("-o");
        arguments.add_word(mount_options(mounted, options).c_str());
        auto operations = fuse_operations();
        operations.init = agree;
        session_ = fuse_session_new(arguments.get(), &operations, sizeof operations, &mounted);
        if (session_ == nullptr) {
            fail(EINVAL, printable(mountpoint) + ": can't be mounted: " + last_fuse_message);
        }
        mounted.set_session(session_);
        if (fuse_session_mount(session_, mountpoint.c_str()) != 0) {
            fuse_session_destroy(session_);
            fail(EPERM, printable(mountpoint) + ": can't be mounted: " + last_fuse_message);
        }
    }
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;
    ~Session() {
        fuse_session_unmount(session_);
        fuse_session_destroy(session_);
    }

    fuse_session* get() const { return session_; }

  private:
    fuse_session* session_ = nullptr;
};

/// The kernel reads ahead 128 KiB unless root says otherwise.
void raise_read_ahead(const std::string& mountpoint) {
    const auto mount = mounted_at(mountpoint);
    if (mount && ::geteuid() == 0) {
        std::ofstream("/sys/class/bdi/" + mount->device + "/read_ahead_kb") << kReadAhead / kKiB;
    }
}

/// What stop_serving() stops.
struct Served {
    std::mutex mutex;
    RequestLoop* loop = nullptr;
    std::string mountpoint;
    bool stopping = false;
};

Served& served() {
    static Served instance;
    return instance;
}

class Registration {
  public:
    Registration(RequestLoop& loop, const std::string& mountpoint) {
        const std::lock_guard lock(served().mutex);
        served().loop = &loop;
        served().mountpoint = mountpoint;
        served().stopping = false;
    }
    Registration(const Registration&) = delete;
    Registration& operator=(const Registration&) = delete;
    ~Registration() {
        const std::lock_guard lock(served().mutex);
        served().loop = nullptr;
    }
};

/// Has the kernel write what open files have in its cache; closed ones have nothing there.
void write_back(const std::string& mountpoint) {
    const Fd root(::open(mountpoint.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (root) {
        ::syncfs(root.get());
    }
}

}  // namespace

fuse_lowlevel_ops fuse_operations() {
    // What is missing is answered with ENOSYS, and then the kernel doesn't ask again: access (it
    // checks, or everything is permitted), flush (it writes back at close by itself), locks (it
    // keeps them by itself), forget (a View's inodes need no counting).
    fuse_lowlevel_ops operations{};
    add_name_operations(operations);
    add_file_operations(operations);
    add_directory_operations(operations);
    add_xattr_operations(operations);
    return operations;
}

void serve(View& view, const std::string& mountpoint, const MountOptions& options,
           const std::function<void()>& on_ready) {
    check_may_mount();
    const auto path = checked_mountpoint(mountpoint);
    MountedView mounted(view, options.read_only || view.read_only(),
                        ::geteuid() == 0 || options.allow_other);
    const Session session(mounted, path, options);
    RequestLoop loop(session.get(), options.poll_us);
    if (!loop.start()) {
        return;
    }
    raise_read_ahead(path);
    const Registration registration(loop, path);
    if (on_ready) {
        on_ready();
    }
    loop.run();
}

void stop_serving() {
    std::string mountpoint;
    {
        const std::lock_guard lock(served().mutex);
        if (served().loop == nullptr || served().stopping) {
            return;  // a second call would unmount what was mounted below
        }
        served().stopping = true;
        served().loop->stop_waiting();
        mountpoint = served().mountpoint;
    }
    try {
        unmount_path(mountpoint, Unmount::if_unused);
        return;  // the kernel ends the session
    } catch (const std::system_error&) {
        write_back(mountpoint);  // in use: it is detached when the session ends
    }
    const std::lock_guard lock(served().mutex);
    if (served().loop != nullptr) {
        served().loop->stop();
    }
}

}  // namespace imgfs
