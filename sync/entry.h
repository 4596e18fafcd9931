// One name of a directory with all that makes its inode, as it travels from source to target.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include "sync/wire.h"

namespace imgsync {

/// `keep` stands for whatever the target has under that name: it is neither changed nor deleted.
enum class Kind : uint8_t { keep, file, directory, symlink, fifo, socket, character, block };

struct Time {
    int64_t seconds = 0;
    uint32_t nanoseconds = 0;
    auto operator<=>(const Time&) const = default;
};

/// ACLs are among them, as the kernel gives them: system.posix_acl_access and _default.
struct Xattr {
    std::string name;
    std::string value;
    auto operator<=>(const Xattr&) const = default;
};

struct Attributes {
    uint32_t mode = 0;  ///< permission bits only
    uint32_t owner = 0;
    uint32_t group = 0;
    Time modified;
    std::vector<Xattr> xattrs;  ///< sorted by name
    bool operator==(const Attributes&) const = default;
};

/// Names of one inode share a group, which is not 0.
struct LinkGroup {
    uint64_t id = 0;
    bool first = false;
    bool last = false;  ///< no further name of it will come
};

struct Entry {
    Kind kind = Kind::keep;
    std::string name;
    uint64_t id = 0;
    Attributes attributes;
    LinkGroup links;
    uint64_t size = 0;           ///< of a file
    bool unsure = false;         ///< of a file: equal size and time don't tell that it is the same
    std::string symlink_target;  ///< of a symlink
    uint32_t major = 0;          ///< of a device
    uint32_t minor = 0;
};

/// What an entry may take in a frame: a file with more xattrs than that can't be pushed.
constexpr size_t kLargestEntry = 512 * imgfs::kKiB;
constexpr size_t kLongestName = 255;
constexpr size_t kLongestPath = 64 * imgfs::kKiB;

/// Only these are copied; the others are made by the file system itself.
bool is_copied_xattr(std::string_view name);

/// A single component that can't lead out of its directory.
bool is_safe_name(std::string_view name);

void pack(Packer& packer, const Entry& entry);

/// Checks every field. `name` is empty only for the root of a tree, which comes by unpack_root().
Entry unpack_entry(Unpacker& unpacker);
Entry unpack_root(Unpacker& unpacker);

}  // namespace imgsync
