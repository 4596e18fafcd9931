// POSIX access control lists: the kernel's xattr form, ext's form on disk, and what both mean for
// modes.
#pragma once

#include <optional>
#include <vector>

#include "fs/base/bytes.h"

namespace imgfs {

struct AclEntry {
    uint16_t tag = 0;
    uint16_t permissions = 0;
    uint32_t id = 0;  ///< of a named user or group

    bool operator==(const AclEntry&) const = default;
};

using Acl = std::vector<AclEntry>;

/// From and to the value of system.posix_acl_access and …_default. EINVAL if it is not a valid
/// list: in order, with one entry each for owner, group and others, and a mask where it is needed.
Acl acl_from_xattr(ConstByteSpan value);
Bytes acl_to_xattr(const Acl& acl);

/// EUCLEAN if it is none.
Acl acl_from_disk(ConstByteSpan value);
Bytes acl_to_disk(const Acl& acl);

/// The permission bits that say the same, if they can: a list of owner, group and others only.
bool is_mode_only(const Acl& acl);
/// The nine bits that a file with this list has.
uint32_t mode_bits(const Acl& acl);
/// What chmod does to a list.
void set_mode_bits(Acl& acl, uint32_t mode);

/// A new file's list, from the default one of its directory; narrows `mode` and the list to what
/// both permit.
Acl inherit_acl(Acl defaults, uint32_t& mode);

}  // namespace imgfs
