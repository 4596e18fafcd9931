// FUSE operations on extended attributes. ACLs are among them, in the kernel's form.
#include <sys/xattr.h>

#include <cerrno>

#include "fs/mount/fuse_operations.h"
#include "fs/mount/mounted_view.h"

namespace imgfs {
namespace {

/// Size 0 asks how long it is.
void reply_value(fuse_req_t request, ConstByteSpan value, size_t size) {
    if (size == 0) {
        fuse_reply_xattr(request, value.size());
    } else if (value.size() > size) {
        fuse_reply_err(request, ERANGE);
    } else {
        fuse_reply_buf(request, text_of(value).data(), value.size());
    }
}

void getxattr(fuse_req_t request, fuse_ino_t node, const char* name, size_t size) {
    answer(request, [&](MountedView& mounted) {
        const auto value = mounted.view().xattr(inode_of(node), name);
        if (value) {
            reply_value(request, *value, size);
        } else {
            fuse_reply_err(request, ENODATA);
        }
    });
}

void listxattr(fuse_req_t request, fuse_ino_t node, size_t size) {
    answer(request, [&](MountedView& mounted) {
        std::string names;
        for (const auto& name : mounted.view().xattr_names(inode_of(node))) {
            names += name;
            names += '\0';
        }
        reply_value(request, bytes_of(names), size);
    });
}

/// An access ACL changes the mode, which a kernel that doesn't check permissions doesn't expect.
void forget_mode_after(const MountedView& mounted, fuse_ino_t node, std::string_view name) {
    if (name == "system.posix_acl_access") {
        mounted.forget_attributes(node);
    }
}

// libfuse fixes the number of parameters.
// NOLINTNEXTLINE(readability-function-size)
void setxattr(fuse_req_t request, fuse_ino_t node, const char* name, const char* value, size_t size,
              int flags) {
    answer(request, [&](MountedView& mounted) {
        auto mode = XattrMode::any;
        if (flags == XATTR_CREATE) {
            mode = XattrMode::create;
        } else if (flags == XATTR_REPLACE) {
            mode = XattrMode::replace;
        }
        mounted.view().set_xattr(inode_of(node), name, std::as_bytes(std::span(value, size)), mode);
        forget_mode_after(mounted, node, name);
        fuse_reply_err(request, 0);
    });
}

void removexattr(fuse_req_t request, fuse_ino_t node, const char* name) {
    answer(request, [&](MountedView& mounted) {
        mounted.view().remove_xattr(inode_of(node), name);
        forget_mode_after(mounted, node, name);
        fuse_reply_err(request, 0);
    });
}

}  // namespace

void add_xattr_operations(fuse_lowlevel_ops& operations) {
    operations.getxattr = getxattr;
    operations.listxattr = listxattr;
    operations.setxattr = setxattr;
    operations.removexattr = removexattr;
}

}  // namespace imgfs
