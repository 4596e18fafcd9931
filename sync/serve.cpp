#include "sync/serve.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <sstream>

#include "fs/base/error.h"
#include "fs/base/text.h"
#include "sync/receiver.h"

namespace imgsync {
namespace {

struct Root {
    Fd fd;
    bool is_new = false;
};

Root open_root(const Hello& hello) {
    const auto* path = hello.target.c_str();
    Root root;
    root.fd = Fd(::open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!root.fd && errno == ENOENT) {
        root.is_new = true;
        if (hello.dry_run) {
            return root;
        }
        if (::mkdir(path, 0700) == 0) {
            root.fd = Fd(::open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        }
    }
    if (!root.fd) {
        imgfs::fail_errno(imgfs::printable(hello.target));
    }
    return root;
}

/// Two pushes into one target would remove each other's temporary files.
void lock(const Root& root, const Hello& hello) {
    if (root.fd && !hello.dry_run && ::flock(root.fd.get(), LOCK_EX | LOCK_NB) != 0 &&
        errno == EWOULDBLOCK) {
        imgfs::fail(EBUSY, imgfs::printable(hello.target) +
                               ": another imgsync push works on it; wait for its end");
    }
}

/// The type of the file system that a descriptor is on, as the table of mounts names it.
std::string mount_type(int fd) {
    std::ifstream info("/proc/self/fdinfo/" + std::to_string(fd));
    std::string word;
    std::string mount;
    while (info >> word) {
        if (word == "mnt_id:") {
            info >> mount;
        }
    }
    std::ifstream table("/proc/self/mountinfo");
    for (std::string line; std::getline(table, line);) {
        const auto separator = line.find(" - ");
        if (line.starts_with(mount + " ") && separator != std::string::npos) {
            std::istringstream(line.substr(separator + 3)) >> word;
            return word;
        }
    }
    return "";
}

/// syncfs also tells of anything that couldn't be written since the root was opened; on an imgfs
/// mount it is fsync of a directory that commits everything.
void commit(const Root& root, const Hello& hello, bool is_imgfs) {
    if (hello.dry_run) {
        return;
    }
    if (::syncfs(root.fd.get()) != 0) {
        imgfs::fail_errno(imgfs::printable(hello.target) + ": sync");
    }
    if (::fsync(root.fd.get()) != 0 && (is_imgfs || errno != EINVAL)) {
        imgfs::fail_errno(imgfs::printable(hello.target) + ": commit");
    }
}

void receive(FrameReader& reader, FrameWriter& writer) {
    const auto greeting = reader.next();
    if (greeting.type != FrameType::hello) {
        fail_protocol("something else than imgsync's greeting");
    }
    const auto hello = unpack_hello(greeting.payload);
    const auto root = open_root(hello);
    lock(root, hello);
    const bool is_imgfs = root.fd && mount_type(root.fd.get()) == "fuse.imgfs";
    writer.put(FrameType::welcome, pack(Welcome{.is_imgfs = is_imgfs}));

    Changes changes(writer, hello);
    Fd tree_root;
    if (root.fd) {
        tree_root = Fd(::fcntl(root.fd.get(), F_DUPFD_CLOEXEC, 0));
    }
    TargetTree tree(std::move(tree_root), root.is_new, hello.target, Filter(hello.excludes),
                    changes);
    Receiver receiver(writer, hello, tree, changes);
    while (!receiver.is_finished()) {
        if (!reader.is_ready()) {
            writer.flush();
        }
        receiver.handle(reader.next());
    }
    commit(root, hello, is_imgfs);
    writer.put(FrameType::summary, pack(changes.counts()));
    writer.flush();
}

}  // namespace

void serve(const Wires& wires) {
    FrameReader reader(wires);
    FrameWriter writer(wires);
    try {
        receive(reader, writer);
    } catch (const std::exception& error) {
        const int code = imgfs::errno_of(error);
        if (code != ECONNRESET) {
            auto text = imgfs::message_of(error);
            text.resize(std::min(text.size(), kLongestPath));
            writer.put(FrameType::refused, pack(Refusal{.code = code, .text = text}));
            writer.flush();
        }
        throw;
    }
}

}  // namespace imgsync
