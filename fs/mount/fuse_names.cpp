// FUSE operations on names: lookup, make, link, rename, remove.
#include <fcntl.h>
#include <stdio.h>

#include <cerrno>

#include "fs/mount/fuse_operations.h"
#include "fs/mount/mounted_view.h"

namespace imgfs {
namespace {

NewFile new_file(fuse_req_t request, const char* name, mode_t mode) {
    const auto* caller = fuse_req_ctx(request);
    return {.name = checked_name(name),
            .mode = mode,
            .umask = caller->umask,
            .uid = caller->uid,
            .gid = caller->gid};
}

void reply_entry(fuse_req_t request, const Attributes& attributes) {
    const auto entry = entry_of(attributes);
    fuse_reply_entry(request, &entry);
}

/// answer() for what changes names in the folder `parent`, whose lock the kernel holds meanwhile.
/// Waiting with it would keep everybody out of the folder. ESTALE has the kernel let go, walk the
/// path once more and ask for the folder's attributes: that is where the caller waits. What is sent
/// back a second time would fail; then it waits here. So would a lookup that mkdir(2) begins with.
template <typename Operation>
void answer_change(fuse_req_t request, fuse_ino_t parent, Operation operation) {
    answer(request, [&](MountedView& mounted) {
        mounted.name_changes(inode_of(parent));
        try {
            operation(mounted);
        } catch (const NotYet&) {
            if (!mounted.send_back({fuse_req_ctx(request)->pid, inode_of(parent)})) {
                throw;
            }
            mounted.forget_attributes(parent);
            fuse_reply_err(request, ESTALE);
        }
    });
}

void make(fuse_req_t request, fuse_ino_t parent, const NewFile& file) {
    reply_entry(request, mounted_view(request).view().make(inode_of(parent), file));
}

void lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
    answer(request, [&](MountedView& mounted) {
        const auto found = mounted.view().lookup(inode_of(parent), checked_name(name));
        if (found) {
            mounted.wait_if_sent_back({fuse_req_ctx(request)->pid, found->inode});
            return reply_entry(request, *found);
        }
        // An entry without an inode: the kernel remembers that there is no such name.
        fuse_entry_param absent{};
        absent.entry_timeout = kForever;
        fuse_reply_entry(request, &absent);
    });
}

void mknod(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, dev_t device) {
    answer_change(request, parent, [&](MountedView&) {
        auto file = new_file(request, name, mode);
        file.device = device;
        make(request, parent, file);
    });
}

void mkdir(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode) {
    answer_change(request, parent, [&](MountedView&) {
        make(request, parent, new_file(request, name, S_IFDIR | (mode & ~mode_t{S_IFMT})));
    });
}

void symlink(fuse_req_t request, const char* target, fuse_ino_t parent, const char* name) {
    answer_change(request, parent, [&](MountedView&) {
        auto file = new_file(request, name, S_IFLNK | 0777);
        file.umask = 0;
        file.link_target = target;
        make(request, parent, file);
    });
}

void link(fuse_req_t request, fuse_ino_t node, fuse_ino_t parent, const char* name) {
    answer_change(request, parent, [&](MountedView& mounted) {
        const auto checked = checked_name(name);
        reply_entry(request, mounted.view().link(inode_of(node), inode_of(parent), checked));
    });
}

void unlink(fuse_req_t request, fuse_ino_t parent, const char* name) {
    answer_change(request, parent, [&](MountedView& mounted) {
        const auto checked = checked_name(name);
        mounted.view().unlink(inode_of(parent), checked);
        fuse_reply_err(request, 0);
    });
}

void rmdir(fuse_req_t request, fuse_ino_t parent, const char* name) {
    answer_change(request, parent, [&](MountedView& mounted) {
        const auto checked = checked_name(name);
        mounted.view().rmdir(inode_of(parent), checked);
        fuse_reply_err(request, 0);
    });
}

// libfuse fixes the number of parameters.
// NOLINTNEXTLINE(readability-function-size)
void rename(fuse_req_t request, fuse_ino_t parent, const char* name, fuse_ino_t new_parent,
            const char* new_name, unsigned flags) {
    answer_change(request, parent, [&](MountedView& mounted) {
        if ((flags & ~unsigned{RENAME_NOREPLACE}) != 0) {
            fail(EINVAL, "rename: only RENAME_NOREPLACE is possible");
        }
        const auto from = checked_name(name);
        const auto to = checked_name(new_name);
        mounted.name_changes(inode_of(new_parent));
        mounted.view().rename(inode_of(parent), from, inode_of(new_parent), to,
                              flags != 0 ? RenameMode::no_replace : RenameMode::replace);
        fuse_reply_err(request, 0);
    });
}

void create(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode,
            fuse_file_info* file) {
    answer_change(request, parent, [&](MountedView& mounted) {
        const auto made = new_file(request, name, S_IFREG | (mode & ~mode_t{S_IFMT}));
        const auto attributes = mounted.view().make(inode_of(parent), made);
        mounted.open(attributes.inode);
        file->keep_cache = 1;
        const auto entry = entry_of(attributes);
        if (fuse_reply_create(request, &entry, file) != 0) {
            mounted.close(attributes.inode);  // the caller is gone, nobody will release it
        }
    });
}

}  // namespace

void add_name_operations(fuse_lowlevel_ops& operations) {
    operations.lookup = lookup;
    operations.mknod = mknod;
    operations.mkdir = mkdir;
    operations.symlink = symlink;
    operations.link = link;
    operations.unlink = unlink;
    operations.rmdir = rmdir;
    operations.rename = rename;
    operations.create = create;
}

}  // namespace imgfs
