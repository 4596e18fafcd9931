// FUSE operations on files: attributes, reading, writing, syncing.
#include <fcntl.h>
#include <time.h>

#include <cerrno>

#include "fs/mount/fuse_operations.h"
#include "fs/mount/mounted_view.h"
#include "fs/mount/request_loop.h"

namespace imgfs {
namespace {

// Takes less time than waking another worker.
constexpr size_t kShortWrite = 128 * kKiB;

timespec now() {
    timespec time{};
    ::clock_gettime(CLOCK_REALTIME, &time);
    return time;
}

AttributeChanges changes_from(const struct stat& wanted, int flags) {
    const auto set = [flags](int flag) { return (flags & flag) != 0; };
    AttributeChanges changes;
    if (set(FUSE_SET_ATTR_MODE)) {
        changes.mode = wanted.st_mode & 07777U;
    }
    if (set(FUSE_SET_ATTR_UID)) {
        changes.uid = wanted.st_uid;
    }
    if (set(FUSE_SET_ATTR_GID)) {
        changes.gid = wanted.st_gid;
    }
    if (set(FUSE_SET_ATTR_SIZE)) {
        changes.size = static_cast<uint64_t>(wanted.st_size);
    }
    if (set(FUSE_SET_ATTR_ATIME)) {
        changes.accessed = set(FUSE_SET_ATTR_ATIME_NOW) ? now() : wanted.st_atim;
    }
    if (set(FUSE_SET_ATTR_MTIME)) {
        changes.modified = set(FUSE_SET_ATTR_MTIME_NOW) ? now() : wanted.st_mtim;
    }
    if (set(FUSE_SET_ATTR_CTIME)) {
        changes.changed = wanted.st_ctim;
    }
    return changes;
}

void reply_attributes(fuse_req_t request, const Attributes& attributes) {
    const auto status = stat_of(attributes);
    fuse_reply_attr(request, &status, kForever);
}

void getattr(fuse_req_t request, fuse_ino_t node, fuse_file_info*) {
    answer(request, [&](MountedView& mounted) {
        mounted.wait_if_sent_back({fuse_req_ctx(request)->pid, inode_of(node)});
        const auto status = stat_of(mounted.view().attributes(inode_of(node)));
        fuse_reply_attr(request, &status, mounted.is_asked_for(inode_of(node)) ? 0 : kForever);
    });
}

void setattr(fuse_req_t request, fuse_ino_t node, struct stat* wanted, int flags, fuse_file_info*) {
    answer(request, [&](MountedView& mounted) {
        reply_attributes(request,
                         mounted.view().change(inode_of(node), changes_from(*wanted, flags)));
    });
}

void readlink(fuse_req_t request, fuse_ino_t node) {
    answer(request, [&](MountedView& mounted) {
        fuse_reply_readlink(request, mounted.view().link_target(inode_of(node)).c_str());
    });
}

void open(fuse_req_t request, fuse_ino_t node, fuse_file_info* file) {
    answer(request, [&](MountedView& mounted) {
        if (mounted.read_only()) {
            // Nothing can be deleted while it is open, so the kernel need not tell us of opening
            // and closing; after this answer it asks no more.
            fuse_reply_err(request, ENOSYS);
            return;
        }
        mounted.open(inode_of(node));
        file->keep_cache = 1;
        if (fuse_reply_open(request, file) != 0) {
            mounted.close(inode_of(node));  // the caller is gone, nobody will release it
        }
    });
}

void release(fuse_req_t request, fuse_ino_t node, fuse_file_info*) {
    answer(request, [&](MountedView& mounted) {
        mounted.close(inode_of(node));
        fuse_reply_err(request, 0);
    });
}

void read(fuse_req_t request, fuse_ino_t node, size_t size, off_t offset, fuse_file_info*) {
    RequestLoop::hand_over();
    answer(request, [&](MountedView& mounted) {
        thread_local Bytes buffer;
        if (buffer.size() < size) {
            buffer.resize(size);
        }
        const auto count = mounted.view().read(inode_of(node), static_cast<uint64_t>(offset),
                                               ByteSpan(buffer).first(size));
        fuse_reply_buf(request, reinterpret_cast<const char*>(buffer.data()), count);
    });
}

// libfuse fixes the number of parameters.
// NOLINTNEXTLINE(readability-function-size)
void write(fuse_req_t request, fuse_ino_t node, const char* bytes, size_t size, off_t offset,
           fuse_file_info* file) {
    if (size > kShortWrite) {
        RequestLoop::hand_over();
    }
    answer(request, [&](MountedView& mounted) {
        mounted.view().write(inode_of(node), static_cast<uint64_t>(offset),
                             std::as_bytes(std::span(bytes, size)));
        // What comes out of the kernel's cache is synced by an fsync of its own.
        if (file->writepage == 0 && (file->flags & O_DSYNC) != 0) {
            mounted.view().commit();
        }
        fuse_reply_write(request, size);
    });
}

void fsync(fuse_req_t request, fuse_ino_t, int, fuse_file_info*) {
    RequestLoop::hand_over();
    answer(request, [&](MountedView& mounted) {
        if (!mounted.read_only()) {
            mounted.view().commit();
        }
        fuse_reply_err(request, 0);
    });
}

void statfs(fuse_req_t request, fuse_ino_t) {
    answer(request, [&](MountedView& mounted) {
        const auto space = mounted.view().space();
        struct statvfs result {};
        result.f_bsize = space.block_size;
        result.f_frsize = space.block_size;
        result.f_blocks = space.blocks;
        result.f_bfree = space.free_blocks;
        result.f_bavail = space.available_blocks;
        result.f_files = space.inodes;
        result.f_ffree = space.free_inodes;
        result.f_favail = space.free_inodes;
        result.f_namemax = 255;
        fuse_reply_statfs(request, &result);
    });
}

}  // namespace

void add_file_operations(fuse_lowlevel_ops& operations) {
    operations.getattr = getattr;
    operations.setattr = setattr;
    operations.readlink = readlink;
    operations.open = open;
    operations.release = release;
    operations.read = read;
    operations.write = write;
    operations.fsync = fsync;
    operations.fsyncdir = fsync;
    operations.statfs = statfs;
}

}  // namespace imgfs
