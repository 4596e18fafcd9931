// xattr: version le32 = 2, then entries of 8 bytes: tag le16, permissions le16, id le32.
// Disk:  version le32 = 1, then the same, but the id only for named users and groups.
#include "fs/view/posix_acl.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "fs/base/error.h"

namespace imgfs {
namespace {

constexpr uint32_t kXattrVersion = 2;
constexpr uint32_t kDiskVersion = 1;
constexpr size_t kHeader = 4;
constexpr size_t kShortEntry = 4;
constexpr size_t kEntry = 8;
constexpr uint32_t kNoId = UINT32_MAX;

enum Tag : uint16_t {
    owner = 0x01,
    named_user = 0x02,
    group = 0x04,
    named_group = 0x08,
    mask = 0x10,
    others = 0x20,
};

bool is_named(uint16_t tag) {
    return tag == named_user || tag == named_group;
}

size_t count_of(const Acl& acl, uint16_t tag) {
    return static_cast<size_t>(std::ranges::count(acl, tag, &AclEntry::tag));
}

/// The kernel wants the tags in this order; the tags' values have it.
void check_valid(const Acl& acl) {
    const bool known = std::ranges::all_of(acl, [](const AclEntry& entry) {
        return (entry.tag & (entry.tag - 1)) == 0 && entry.tag <= others && entry.tag != 0 &&
               entry.permissions <= 7 && (!is_named(entry.tag) || entry.id != kNoId);
    });
    const size_t named = count_of(acl, named_user) + count_of(acl, named_group);
    const size_t masks = count_of(acl, mask);
    if (!known || !std::ranges::is_sorted(acl, {}, &AclEntry::tag) || count_of(acl, owner) != 1 ||
        count_of(acl, group) != 1 || count_of(acl, others) != 1 || masks > 1 ||
        (named > 0 && masks == 0)) {
        fail(EINVAL, "not a valid access control list");
    }
}

AclEntry* entry_of(Acl& acl, uint16_t tag) {
    const auto found = std::ranges::find(acl, tag, &AclEntry::tag);
    return found == acl.end() ? nullptr : &*found;
}

/// Who has the group's bits of the mode: the mask, if there is one.
AclEntry* group_class(Acl& acl) {
    AclEntry* entry = entry_of(acl, mask);
    return entry != nullptr ? entry : entry_of(acl, group);
}

/// Keeps in the three bits of `mode` at `shift`, and in the entry, what both have.
void narrow(AclEntry& entry, uint32_t& mode, int shift) {
    entry.permissions &= static_cast<uint16_t>(mode >> shift & 7);
    mode &= ~(7U << shift) | static_cast<uint32_t>(entry.permissions) << shift;
}

}  // namespace

Acl acl_from_xattr(ConstByteSpan value) {
    if (value.size() < kHeader || le32(value, 0) != kXattrVersion ||
        (value.size() - kHeader) % kEntry != 0) {
        fail(EINVAL, "not an access control list");
    }
    Acl acl;
    for (size_t at = kHeader; at < value.size(); at += kEntry) {
        const uint16_t tag = le16(value, at);
        acl.push_back({tag, le16(value, at + 2), is_named(tag) ? le32(value, at + 4) : kNoId});
    }
    check_valid(acl);
    return acl;
}

Bytes acl_to_xattr(const Acl& acl) {
    Bytes value(kHeader + kEntry * acl.size());
    store(value, 0, kXattrVersion);
    for (size_t i = 0; i < acl.size(); ++i) {
        const size_t at = kHeader + kEntry * i;
        store(value, at, acl[i].tag);
        store(value, at + 2, acl[i].permissions);
        store(value, at + 4, acl[i].id);
    }
    return value;
}

Acl acl_from_disk(ConstByteSpan value) {
    if (value.size() < kHeader || le32(value, 0) != kDiskVersion) {
        fail(EUCLEAN, "a damaged access control list");
    }
    Acl acl;
    for (size_t at = kHeader; at < value.size();) {
        const size_t left = value.size() - at;
        const bool named = left >= kShortEntry && is_named(le16(value, at));
        const size_t length = named ? kEntry : kShortEntry;
        if (left < length) {
            fail(EUCLEAN, "a damaged access control list");
        }
        acl.push_back({le16(value, at), le16(value, at + 2), named ? le32(value, at + 4) : kNoId});
        at += length;
    }
    return acl;
}

Bytes acl_to_disk(const Acl& acl) {
    Bytes value(kHeader);
    store(value, 0, kDiskVersion);
    for (const AclEntry& entry : acl) {
        const size_t at = value.size();
        value.resize(at + (is_named(entry.tag) ? kEntry : kShortEntry));
        store(value, at, entry.tag);
        store(value, at + 2, entry.permissions);
        if (is_named(entry.tag)) {
            store(value, at + 4, entry.id);
        }
    }
    return value;
}

bool is_mode_only(const Acl& acl) {
    return acl.size() == 3;
}

uint32_t mode_bits(const Acl& acl) {
    Acl copy = acl;
    uint32_t mode = 0;
    const auto add = [&mode](const AclEntry* entry, int shift) {
        if (entry != nullptr) {
            mode |= static_cast<uint32_t>(entry->permissions & 7) << shift;
        }
    };
    add(entry_of(copy, owner), 6);
    add(group_class(copy), 3);
    add(entry_of(copy, others), 0);
    return mode;
}

void set_mode_bits(Acl& acl, uint32_t mode) {
    const auto set = [mode](AclEntry* entry, int shift) {
        if (entry != nullptr) {
            entry->permissions = static_cast<uint16_t>(mode >> shift & 7);
        }
    };
    set(entry_of(acl, owner), 6);
    set(group_class(acl), 3);
    set(entry_of(acl, others), 0);
}

Acl inherit_acl(Acl defaults, uint32_t& mode) {
    const auto narrow_entry = [&mode](AclEntry* entry, int shift) {
        if (entry != nullptr) {
            narrow(*entry, mode, shift);
        }
    };
    narrow_entry(entry_of(defaults, owner), 6);
    narrow_entry(group_class(defaults), 3);
    narrow_entry(entry_of(defaults, others), 0);
    return defaults;
}

}  // namespace imgfs
