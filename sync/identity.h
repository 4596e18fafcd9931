// Whether what is opened is still what was listed, so that no content travels under the mode and
// owner of something else.
#pragma once

#include "fs/base/checksum.h"
#include "sync/inode.h"

namespace imgsync {

struct Identity {
    dev_t device = 0;
    ino_t number = 0;
    Time changed;                 ///< ctime
    imgfs::Hash128 attributes{};  ///< mode, owner, group and xattrs
    bool has_links = false;       ///< then nothing but this very inode will do
};

/// `attributes` are those of the inode.
Identity identity_of(const struct stat& status, const Attributes& attributes);

/// Fails with ENOENT if something else was put in the place of what was listed, unless nothing but
/// the content tells them apart; with EAGAIN if the attributes of the same inode changed.
void check_identity(const Identity& listed, int fd, const std::string& path);

}  // namespace imgsync
