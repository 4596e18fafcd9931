// ExtTree: what system calls do to inodes and names of an ext file system.
#pragma once

#include <random>
#include <utility>

#include "fs/view/ext_directory.h"
#include "fs/view/ext_inode.h"
#include "fs/view/ext_xattr.h"
#include "fs/view/view.h"

namespace imgfs {

/// A name and where it stands.
struct NameIn {
    ext2_ino_t directory = 0;
    std::string_view name;
};

/// The operations of a View but for file data, opening and commits. The caller holds fs.mutex()
/// and, for changes, is inside the commit gate. All that can be foreseen (no such name, no space,
/// too many links) is checked before anything is changed.
class ExtTree {
  public:
    explicit ExtTree(ExtFilesystem& fs);

    std::optional<Attributes> lookup(const NameIn& at);
    Attributes attributes(ext2_ino_t number);
    std::string link_target(ext2_ino_t number);
    std::vector<DirectoryEntry> entries(ext2_ino_t directory);
    Space space() const;
    std::optional<Bytes> xattr(ext2_ino_t number, const std::string& name);
    std::vector<std::string> xattr_names(ext2_ino_t number);

    /// Not of the size.
    Attributes change(ext2_ino_t number, const AttributeChanges& changes);
    Attributes make(ext2_ino_t directory, const NewFile& file);
    Attributes link(ext2_ino_t number, const NameIn& at);
    /// These return the inode that has lost its last name and is to be released, or 0.
    ext2_ino_t unlink(const NameIn& at);
    ext2_ino_t rmdir(const NameIn& at);
    ext2_ino_t rename(const NameIn& from, const NameIn& to, RenameMode mode);
    void set_xattr(ext2_ino_t number, const std::string& name, ConstByteSpan value, XattrMode mode);
    void remove_xattr(ext2_ino_t number, const std::string& name);

    /// Frees an inode without names, and the blocks it still has.
    void release(ext2_ino_t number);

    /// ESTALE if the inode is not in use.
    ext2_inode_large inode(ext2_ino_t number) const;

    /// Fails unless it is a file whose data may be changed.
    void check_writable(ext2_ino_t number) const;

    /// Has something been changed since the last call? An operation that fails after that must be
    /// undone.
    bool take_changed() { return std::exchange(changed_, false); }

  private:
    struct Draft;

    ext2_inode_large directory_inode(ext2_ino_t number) const;
    ext2_inode_large writable_directory(ext2_ino_t number) const;
    NameTarget target(const NameIn& at);
    void check_new_name(const NameIn& at);
    void check_blocks(uint64_t count) const;
    void check_room_for_subdirectory(const ext2_inode_large& directory) const;
    uint32_t link_limit() const;

    Draft draft(ext2_ino_t directory, const NewFile& file);
    Bytes raw_inode(const Draft& draft, const NewFile& file);
    void write_link_target(ext2_ino_t number, std::string_view target);
    /// New times, and the link count if a subdirectory came or went.
    void touch_directory(ext2_ino_t number, int subdirectories);
    void check_droppable(ext2_ino_t number);
    ext2_ino_t drop_name(ext2_ino_t number);
    void touch_inode(ext2_ino_t number);

    void check_rename(const NameIn& from, NameTarget source, const NameIn& to,
                      const std::optional<NameTarget>& replaced);
    void check_no_loop(ext2_ino_t moved, ext2_ino_t into);
    void move_name(const NameIn& from, NameTarget source, const NameIn& to, bool replaces);

    void chmod_acl(ext2_ino_t number, uint32_t mode);
    void set_acl(ext2_ino_t number, const XattrName& name, ConstByteSpan value);
    void save_xattrs(XattrSet& attributes);

    ExtFilesystem& fs_;
    Directories directories_;
    std::mt19937 generations_{std::random_device{}()};
    bool changed_ = false;
};

}  // namespace imgfs
