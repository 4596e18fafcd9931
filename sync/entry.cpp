#include "sync/entry.h"

#include <algorithm>
#include <array>

namespace imgsync {
namespace {

constexpr uint32_t kMostXattrs = 4096;
constexpr size_t kLongestXattrValue = 64 * imgfs::kKiB;
constexpr size_t kLongestSymlink = 4095;
constexpr uint32_t kModeBits = 07777;

void pack(Packer& packer, const Attributes& attributes) {
    packer.put(attributes.mode);
    packer.put(attributes.owner);
    packer.put(attributes.group);
    packer.put(attributes.modified.seconds);
    packer.put(attributes.modified.nanoseconds);
    packer.put(static_cast<uint32_t>(attributes.xattrs.size()));
    for (const auto& xattr : attributes.xattrs) {
        packer.put_text(xattr.name);
        packer.put_text(xattr.value);
    }
}

Attributes unpack_attributes(Unpacker& unpacker) {
    Attributes attributes;
    attributes.mode = unpacker.get<uint32_t>();
    attributes.owner = unpacker.get<uint32_t>();
    attributes.group = unpacker.get<uint32_t>();
    attributes.modified.seconds = unpacker.get<int64_t>();
    attributes.modified.nanoseconds = unpacker.get<uint32_t>();
    const auto count = unpacker.get<uint32_t>();
    if (attributes.mode > kModeBits || attributes.modified.nanoseconds >= 1'000'000'000 ||
        attributes.owner == UINT32_MAX || attributes.group == UINT32_MAX || count > kMostXattrs) {
        fail_protocol("impossible attributes of a file");
    }
    for (uint32_t index = 0; index < count; ++index) {
        auto name = unpacker.get_text(kLongestName);
        auto value = unpacker.get_text(kLongestXattrValue);
        const bool in_order = attributes.xattrs.empty() || attributes.xattrs.back().name < name;
        if (!is_copied_xattr(name) || name.find('\0') != std::string::npos || !in_order) {
            fail_protocol("an extended attribute that isn't copied");
        }
        attributes.xattrs.push_back({std::move(name), std::move(value)});
    }
    return attributes;
}

void unpack_of_kind(Unpacker& unpacker, Entry& entry) {
    switch (entry.kind) {
        case Kind::file:
            entry.size = unpacker.get<uint64_t>();
            entry.unsure = unpacker.get_flag();
            if (entry.size > INT64_MAX) {
                fail_protocol("an impossible size of a file");
            }
            break;
        case Kind::symlink:
            entry.symlink_target = unpacker.get_text(kLongestSymlink);
            if (entry.symlink_target.empty() ||
                entry.symlink_target.find('\0') != std::string::npos) {
                fail_protocol("an impossible symbolic link");
            }
            break;
        case Kind::character:
        case Kind::block:
            entry.major = unpacker.get<uint32_t>();
            entry.minor = unpacker.get<uint32_t>();
            break;
        default:
            break;
    }
}

Entry unpack_named(Unpacker& unpacker) {
    Entry entry;
    const auto kind = unpacker.get<uint8_t>();
    if (kind > static_cast<uint8_t>(Kind::block)) {
        fail_protocol("an unknown kind of file");
    }
    entry.kind = static_cast<Kind>(kind);
    entry.name = unpacker.get_text(kLongestName);
    if (entry.kind == Kind::keep) {
        return entry;
    }
    entry.id = unpacker.get<uint64_t>();
    entry.attributes = unpack_attributes(unpacker);
    entry.links.id = unpacker.get<uint64_t>();
    entry.links.first = unpacker.get_flag();
    entry.links.last = unpacker.get_flag();
    if (entry.kind == Kind::directory && entry.links.id != 0) {
        fail_protocol("a directory with several names");
    }
    unpack_of_kind(unpacker, entry);
    return entry;
}

}  // namespace

bool is_copied_xattr(std::string_view name) {
    using namespace std::string_view_literals;
    static constexpr std::array kSpaces = {"user."sv, "trusted."sv, "security."sv};
    return name == "system.posix_acl_access" || name == "system.posix_acl_default" ||
           std::ranges::any_of(kSpaces, [&](auto space) {
               return name.starts_with(space) && name.size() > space.size();
           });
}

bool is_safe_name(std::string_view name) {
    return !name.empty() && name.size() <= kLongestName && name != "." && name != ".." &&
           name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

void pack(Packer& packer, const Entry& entry) {
    packer.put(static_cast<uint8_t>(entry.kind));
    packer.put_text(entry.name);
    if (entry.kind == Kind::keep) {
        return;
    }
    packer.put(entry.id);
    pack(packer, entry.attributes);
    packer.put(entry.links.id);
    packer.put(static_cast<uint8_t>(entry.links.first));
    packer.put(static_cast<uint8_t>(entry.links.last));
    if (entry.kind == Kind::file) {
        packer.put(entry.size);
        packer.put(static_cast<uint8_t>(entry.unsure));
    } else if (entry.kind == Kind::symlink) {
        packer.put_text(entry.symlink_target);
    } else if (entry.kind == Kind::character || entry.kind == Kind::block) {
        packer.put(entry.major);
        packer.put(entry.minor);
    }
}

Entry unpack_entry(Unpacker& unpacker) {
    auto entry = unpack_named(unpacker);
    if (!is_safe_name(entry.name)) {
        fail_protocol("a name that leads elsewhere");
    }
    return entry;
}

Entry unpack_root(Unpacker& unpacker) {
    auto entry = unpack_named(unpacker);
    if (!entry.name.empty() || entry.kind != Kind::directory) {
        fail_protocol("a root that is no directory");
    }
    return entry;
}

}  // namespace imgsync
