// Extended attributes of an inode: those in the inode itself and those in its attribute block.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "fs/view/ext_filesystem.h"

namespace imgfs {

/// A name as it is on disk: a number for the prefix, and the rest.
struct XattrName {
    uint8_t prefix = 0;
    std::string rest;

    bool operator==(const XattrName&) const = default;
};

constexpr uint8_t kAccessAcl = 2;   // XattrName::prefix of system.posix_acl_access
constexpr uint8_t kDefaultAcl = 3;  // … of system.posix_acl_default

/// Nothing for a name that ext can't hold.
std::optional<XattrName> xattr_name_of(std::string_view name);

struct XattrEntry {
    XattrName name;
    Bytes value;  ///< as it is on disk
};

/// All attributes of one inode. The caller holds fs.mutex(). EUCLEAN if they are damaged.
class XattrSet {
  public:
    XattrSet(ExtFilesystem& fs, ext2_ino_t number);
    /// Of an inode that save() is to write: `raw` is all of it.
    XattrSet(ExtFilesystem& fs, ext2_ino_t number, Bytes raw);

    const Bytes* find(const XattrName& name) const;
    std::vector<std::string> names() const;  ///< with their prefixes
    void set(const XattrName& name, ConstByteSpan value);
    void remove(const XattrName& name);

    /// How many blocks save() would take. ENOSPC if the attributes don't fit: what is not in the
    /// inode must be in one block.
    uint64_t blocks_to_save() const;
    /// Writes the inode and its block.
    void save();

    /// Gives back the inode's attribute block, or its share of one. Writes the inode.
    static void drop_block(ExtFilesystem& fs, ext2_ino_t number);

  private:
    struct Layout {
        std::vector<const XattrEntry*> inside;
        std::vector<const XattrEntry*> in_block;
    };

    void parse(ConstByteSpan area, size_t first_entry);
    size_t inode_area() const;
    Layout layout() const;
    Bytes block_bytes(const Layout& layout) const;
    void write_inside(const Layout& layout);
    void save_block(Bytes bytes);
    void take_block(uint64_t old);

    ExtFilesystem& fs_;
    ext2_ino_t number_;
    Bytes raw_;  ///< the inode
    std::vector<XattrEntry> entries_;
};

}  // namespace imgfs
