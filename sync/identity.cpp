#include "sync/identity.h"

#include <cerrno>

#include "fs/base/error.h"
#include "fs/base/text.h"

namespace imgsync {
namespace {

imgfs::Hash128 hash_of(const Attributes& attributes) {
    Packer packer;
    packer.put(attributes.mode);
    packer.put(attributes.owner);
    packer.put(attributes.group);
    for (const auto& [name, value] : attributes.xattrs) {
        packer.put_text(name);
        packer.put_text(value);
    }
    return imgfs::xxh3_128(packer.bytes());
}

}  // namespace

Identity identity_of(const struct stat& status, const Attributes& attributes) {
    return {.device = status.st_dev,
            .number = status.st_ino,
            .changed = changed_of(status),
            .attributes = hash_of(attributes),
            .has_links = !S_ISDIR(status.st_mode) && status.st_nlink > 1};
}

/// A change of the content changes the ctime too, so the attributes themselves decide. A file saved
/// anew by an editor is another inode with equal attributes, and what it has now is as good.
void check_identity(const Identity& listed, int fd, const std::string& path) {
    struct stat status {};
    if (::fstat(fd, &status) != 0) {
        imgfs::fail_errno(imgfs::printable(path));
    }
    const bool is_same = status.st_dev == listed.device && status.st_ino == listed.number;
    if (is_same && changed_of(status) == listed.changed) {
        return;
    }
    const bool has_same_attributes =
        hash_of(Inode::of_open_file(fd, path).attributes()) == listed.attributes;
    if (!is_same && (listed.has_links || !has_same_attributes)) {
        imgfs::fail(ENOENT, imgfs::printable(path) + ": was replaced meanwhile; push again");
    }
    if (!has_same_attributes) {
        imgfs::fail(EAGAIN, imgfs::printable(path) +
                                ": its mode, owner or extended attributes changed meanwhile; push "
                                "again");
    }
}

}  // namespace imgsync
