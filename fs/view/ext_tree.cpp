#include "fs/view/ext_tree.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "fs/base/error.h"
#include "fs/base/text.h"
#include "fs/view/block_map.h"
#include "fs/view/ext_time.h"
#include "fs/view/inode_allocator.h"
#include "fs/view/posix_acl.h"

namespace imgfs {
namespace {

constexpr size_t kXattrNameLimit = 255;
constexpr size_t kXattrSizeLimit = 64 * kKiB;

std::string name_of(ext2_ino_t number) {
    return "inode " + std::to_string(number);
}

/// The superblock has a copy of it: the inode may lie where nothing can be read yet.
uint64_t journal_size(ext2_filsys fs) {
    const ext2_super_block& super = *fs->super;
    if (ext2fs_has_feature_journal(fs->super) == 0 || super.s_journal_inum == 0) {
        return 0;
    }
    if (super.s_jnl_backup_type == EXT3_JNL_BACKUP_BLOCKS) {
        return uint64_t{super.s_jnl_blocks[15]} << 32 | super.s_jnl_blocks[16];
    }
    ext2_inode journal{};
    const bool is_known = ext2fs_read_inode(fs, super.s_journal_inum, &journal) == 0;
    ExtFilesystem::check(0, "");
    return is_known ? EXT2_I_SIZE(&journal) : 0;
}

/// Blocks of the file system's own, which the kernel doesn't count either.
uint64_t overhead(ext2_filsys fs) {
    const ext2_super_block& super = *fs->super;
    if (ext2fs_has_feature_bigalloc(fs->super) != 0) {
        return EXT2FS_C2B(fs, uint64_t{super.s_overhead_clusters});
    }
    uint64_t blocks = super.s_first_data_block;
    for (dgrp_t group = 0; group < fs->group_desc_count; ++group) {
        blk_t used = 0;
        ext2fs_super_and_bgd_loc2(fs, group, nullptr, nullptr, nullptr, &used);
        blocks += uint64_t{used} + fs->inode_blocks_per_group + 2;
    }
    blocks += journal_size(fs) / fs->blocksize;
    return std::min<uint64_t>(blocks, ext2fs_blocks_count(fs->super));
}

/// What the kernel keeps back for its own needs.
uint64_t kernel_reserve(ext2_filsys fs) {
    if (ext2fs_has_feature_extents(fs->super) == 0) {
        return 0;
    }
    const uint64_t clusters = ext2fs_blocks_count(fs->super) / EXT2FS_CLUSTER_RATIO(fs);
    return std::min<uint64_t>(clusters / 50, 4096) * EXT2FS_CLUSTER_RATIO(fs);
}

XattrName checked_xattr_name(const std::string& name) {
    if (name.size() > kXattrNameLimit) {
        fail(ERANGE, "the attribute's name is longer than 255 bytes");
    }
    const auto known = xattr_name_of(name);
    if (!known) {
        fail(ENOTSUP, "ext has no place for attributes like " + printable(name));
    }
    return *known;
}

bool is_acl(const XattrName& name) {
    return name.prefix == kAccessAcl || name.prefix == kDefaultAcl;
}

}  // namespace

ExtTree::ExtTree(ExtFilesystem& fs) : fs_(fs), directories_(fs) {}

ext2_inode_large ExtTree::inode(ext2_ino_t number) const {
    const ext2_super_block* super = fs_.handle()->super;
    const bool shown = number == EXT2_ROOT_INO || number >= EXT2_FIRST_INODE(super);
    if (!shown || number > super->s_inodes_count) {
        fail(ESTALE, name_of(number) + " doesn't belong to a file");
    }
    const auto inode = fs_.inode(number);
    if (inode.i_mode == 0 || (inode.i_links_count == 0 && inode.i_dtime != 0)) {
        fail(ESTALE, name_of(number) + " has been deleted");
    }
    return inode;
}

ext2_inode_large ExtTree::directory_inode(ext2_ino_t number) const {
    const auto found = inode(number);
    if (!LINUX_S_ISDIR(found.i_mode)) {
        fail(ENOTDIR, name_of(number) + " is not a directory");
    }
    return found;
}

std::optional<Attributes> ExtTree::lookup(const NameIn& at) {
    if (at.name.size() > EXT2_NAME_LEN) {
        fail(ENAMETOOLONG, "a name has at most 255 bytes");
    }
    const auto found = directories_.find(at.directory, at.name);
    if (!found) {
        return std::nullopt;
    }
    const auto inode = fs_.inode(found->inode);
    if (inode.i_links_count == 0) {
        fail(EUCLEAN, "directory inode " + std::to_string(at.directory) + ": " +
                          printable(at.name) + " points to the deleted inode " +
                          std::to_string(found->inode));
    }
    return attributes_of(fs_, found->inode, inode);
}

Attributes ExtTree::attributes(ext2_ino_t number) {
    return attributes_of(fs_, number, inode(number));
}

std::string ExtTree::link_target(ext2_ino_t number) {
    auto link = inode(number);
    if (!LINUX_S_ISLNK(link.i_mode)) {
        fail(EINVAL, name_of(number) + " is not a symbolic link");
    }
    const uint64_t size = size_of(link);
    if (has_target_inside(link)) {
        return {reinterpret_cast<const char*>(link.i_block), size};
    }
    const auto runs = map_blocks(fs_, number, link, 0, 1);
    if (size >= fs_.block_size() || runs.empty() || runs[0].physical == 0) {
        fail(EUCLEAN, name_of(number) + ": the symbolic link's target is damaged");
    }
    Bytes target(fs_.block_size());
    ExtFilesystem::check(
        io_channel_read_blk64(fs_.handle()->io, runs[0].physical, 1, target.data()),
        name_of(number));
    return std::string(text_of(target).substr(0, size));
}

std::vector<DirectoryEntry> ExtTree::entries(ext2_ino_t directory) {
    const auto inode = directory_inode(directory);
    if (inode.i_links_count == 0) {
        return {};  // removed while it is open
    }
    return directories_.list(directory);
}

Space ExtTree::space() const {
    const ext2_filsys fs = fs_.handle();
    const uint64_t free = ext2fs_free_blocks_count(fs->super);
    const uint64_t kept = ext2fs_r_blocks_count(fs->super) + kernel_reserve(fs);
    return {
        .block_size = fs->blocksize,
        .blocks = ext2fs_blocks_count(fs->super) - overhead(fs),
        .free_blocks = free,
        .available_blocks = free - std::min(free, kept),
        .inodes = fs->super->s_inodes_count,
        .free_inodes = fs->super->s_free_inodes_count,
    };
}

std::optional<Bytes> ExtTree::xattr(ext2_ino_t number, const std::string& name) {
    const auto known = xattr_name_of(name);
    if (!known) {
        return std::nullopt;
    }
    inode(number);
    const XattrSet attributes(fs_, number);
    const Bytes* value = attributes.find(*known);
    if (value == nullptr) {
        return std::nullopt;
    }
    return is_acl(*known) ? acl_to_xattr(acl_from_disk(*value)) : *value;
}

std::vector<std::string> ExtTree::xattr_names(ext2_ino_t number) {
    inode(number);
    return XattrSet(fs_, number).names();
}

Attributes ExtTree::change(ext2_ino_t number, const AttributeChanges& changes) {
    auto changed = inode(number);
    if (changes.mode) {
        chmod_acl(number, *changes.mode);
        changed = inode(number);
        changed.i_mode = static_cast<uint16_t>((changed.i_mode & LINUX_S_IFMT) |
                                               (*changes.mode & ~LINUX_S_IFMT));
    }
    if (changes.uid) {
        set_uid(changed, *changes.uid);
    }
    if (changes.gid) {
        set_gid(changed, *changes.gid);
    }
    if (changes.accessed) {
        set_accessed(changed, *changes.accessed);
    }
    if (changes.modified) {
        set_modified(changed, *changes.modified);
    }
    set_changed(changed, changes.changed.value_or(time_now()));
    changed_ = true;
    fs_.write_inode(number, changed);
    return attributes_of(fs_, number, changed);
}

void ExtTree::chmod_acl(ext2_ino_t number, uint32_t mode) {
    XattrSet attributes(fs_, number);
    const Bytes* value = attributes.find({kAccessAcl, ""});
    if (value == nullptr) {
        return;
    }
    Acl acl = acl_from_disk(*value);
    set_mode_bits(acl, mode);
    const Bytes now = acl_to_disk(acl);
    if (now != *value) {
        attributes.set({kAccessAcl, ""}, now);
        save_xattrs(attributes);
    }
}

void ExtTree::set_xattr(ext2_ino_t number, const std::string& name, ConstByteSpan value,
                        XattrMode mode) {
    const auto target = inode(number);
    const XattrName known = checked_xattr_name(name);
    if (value.size() > kXattrSizeLimit) {
        fail(E2BIG, "an attribute has at most 64 KiB");
    }
    if (is_acl(known)) {
        set_acl(number, known, value);
        return;
    }
    if (name.starts_with("user.") && !LINUX_S_ISREG(target.i_mode) &&
        !LINUX_S_ISDIR(target.i_mode)) {
        fail(EPERM, "only files and directories have user attributes");
    }
    XattrSet attributes(fs_, number);
    const Bytes* present = attributes.find(known);
    if (present != nullptr && mode == XattrMode::create) {
        fail(EEXIST, printable(name) + " is there already");
    }
    if (present == nullptr && mode == XattrMode::replace) {
        fail(ENODATA, printable(name) + " is not there");
    }
    attributes.set(known, value);
    save_xattrs(attributes);
    touch_inode(number);
}

void ExtTree::remove_xattr(ext2_ino_t number, const std::string& name) {
    inode(number);
    const XattrName known = checked_xattr_name(name);
    if (is_acl(known)) {
        set_acl(number, known, {});
        return;
    }
    XattrSet attributes(fs_, number);
    if (attributes.find(known) == nullptr) {
        fail(ENODATA, printable(name) + " is not there");
    }
    attributes.remove(known);
    save_xattrs(attributes);
    touch_inode(number);
}

/// An empty value, or one without entries, takes the list away.
void ExtTree::set_acl(ext2_ino_t number, const XattrName& name, ConstByteSpan value) {
    auto target = inode(number);
    constexpr size_t kNoEntries = 4;
    const bool removes = value.empty() || (value.size() == kNoEntries && le32(value, 0) == 2);
    if (LINUX_S_ISLNK(target.i_mode)) {
        fail(ENOTSUP, "symbolic links have no access control lists");
    }
    if (name.prefix == kDefaultAcl && !LINUX_S_ISDIR(target.i_mode)) {
        if (removes) {
            return;
        }
        fail(EACCES, "only directories have a default access control list");
    }
    const Acl acl = removes ? Acl{} : acl_from_xattr(value);
    XattrSet attributes(fs_, number);
    if (removes || (name.prefix == kAccessAcl && is_mode_only(acl))) {
        attributes.remove(name);
    } else {
        attributes.set(name, acl_to_disk(acl));
    }
    save_xattrs(attributes);
    if (name.prefix == kAccessAcl && !removes) {
        target = inode(number);
        target.i_mode = static_cast<uint16_t>((target.i_mode & ~0777U) | mode_bits(acl));
        fs_.write_inode(number, target);
    }
    touch_inode(number);
}

void ExtTree::save_xattrs(XattrSet& attributes) {
    check_blocks(attributes.blocks_to_save());
    changed_ = true;
    attributes.save();
}

void ExtTree::touch_inode(ext2_ino_t number) {
    auto touched = inode(number);
    set_changed(touched, time_now());
    changed_ = true;
    fs_.write_inode(number, touched);
}

void ExtTree::check_writable(ext2_ino_t number) const {
    const auto written = inode(number);
    if (!LINUX_S_ISREG(written.i_mode)) {
        fail(LINUX_S_ISDIR(written.i_mode) ? EISDIR : EINVAL, name_of(number) + " is not a file");
    }
    if ((written.i_flags & EXT2_IMMUTABLE_FL) != 0) {
        fail(EPERM, "the file is immutable");
    }
}

void ExtTree::check_blocks(uint64_t count) const {
    if (count > ext2fs_free_blocks_count(fs_.handle()->super)) {
        fail(ENOSPC, "the file system in the image has no free blocks");
    }
}

void ExtTree::release(ext2_ino_t number) {
    auto released = fs_.inode(number);
    changed_ = true;
    if (has_block_map(released)) {
        free_blocks(fs_, number, released, 0, UINT32_MAX);
    }
    directories_.forget(number);
    erase_inode(fs_, number);
}

}  // namespace imgfs
