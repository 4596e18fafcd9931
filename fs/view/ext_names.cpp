// The part of ExtTree that makes, links, removes and renames.
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <unordered_set>

#include "fs/base/error.h"
#include "fs/base/text.h"
#include "fs/view/block_map.h"
#include "fs/view/ext_time.h"
#include "fs/view/ext_tree.h"
#include "fs/view/inode_allocator.h"
#include "fs/view/posix_acl.h"

namespace imgfs {
namespace {

constexpr uint32_t kInheritedFlags = EXT2_SECRM_FL | EXT2_UNRM_FL | EXT2_COMPR_FL | EXT2_SYNC_FL |
                                     EXT2_NODUMP_FL | EXT2_NOATIME_FL | EXT2_NOTAIL_FL |
                                     EXT2_DIRSYNC_FL | EXT3_JOURNAL_DATA_FL | FS_DAX_FL;
constexpr uint32_t kOnlyOfDirectories = EXT2_DIRSYNC_FL;
constexpr uint32_t kOfOthers = EXT2_NODUMP_FL | EXT2_NOATIME_FL;

void check_name(std::string_view name) {
    if (name.size() > EXT2_NAME_LEN) {
        fail(ENAMETOOLONG, "a name has at most 255 bytes");
    }
    if (name.empty() || name == "." || name == ".." ||
        name.find_first_of(std::string_view("/\0", 2)) != std::string_view::npos) {
        fail(EINVAL, printable(name) + " can't be a name");
    }
}

uint32_t inherited_flags(const ext2_inode_large& directory, uint32_t mode) {
    const uint32_t flags = directory.i_flags & kInheritedFlags;
    if (S_ISDIR(mode)) {
        return flags;
    }
    return S_ISREG(mode) ? flags & ~kOnlyOfDirectories : flags & kOfOthers;
}

void put_empty_extent_tree(ext2_inode_large& inode) {
    const ByteSpan map(reinterpret_cast<std::byte*>(inode.i_block), sizeof inode.i_block);
    store<uint16_t>(map, 0, 0xf30a);  // magic
    store<uint16_t>(map, 4, 4);       // room for four entries
    inode.i_flags |= EXT4_EXTENTS_FL;
}

bool is_directory(const NameTarget& target, ExtFilesystem& fs) {
    return LINUX_S_ISDIR(fs.inode(target.inode).i_mode);
}

}  // namespace

/// A new inode before it is written.
struct ExtTree::Draft {
    ext2_ino_t number = 0;
    uint32_t mode = 0;
    uint32_t gid = 0;
    uint32_t flags = 0;
    std::optional<Acl> access;
    std::optional<Acl> defaults;

    InodeKind kind() const { return S_ISDIR(mode) ? InodeKind::directory : InodeKind::file; }
};

ext2_inode_large ExtTree::writable_directory(ext2_ino_t number) const {
    const auto found = directory_inode(number);
    if (found.i_links_count == 0) {
        fail(ENOENT, "the directory has been removed");
    }
    if ((found.i_flags & EXT2_IMMUTABLE_FL) != 0) {
        fail(EPERM, "the directory is immutable");
    }
    return found;
}

NameTarget ExtTree::target(const NameIn& at) {
    check_name(at.name);
    writable_directory(at.directory);
    const auto found = directories_.find(at.directory, at.name);
    if (!found) {
        fail(ENOENT, printable(at.name) + " is not there");
    }
    if ((inode(found->inode).i_flags & (EXT2_IMMUTABLE_FL | EXT2_APPEND_FL)) != 0) {
        fail(EPERM, printable(at.name) + " is immutable or may only grow");
    }
    return *found;
}

void ExtTree::check_new_name(const NameIn& at) {
    check_name(at.name);
    writable_directory(at.directory);
    if (directories_.find(at.directory, at.name)) {
        fail(EEXIST, printable(at.name) + " is there already");
    }
}

uint32_t ExtTree::link_limit() const {
    const ext2_super_block* super = fs_.handle()->super;
    const bool is_ext4 = ext2fs_has_feature_extents(const_cast<ext2_super_block*>(super)) != 0 ||
                         ext2fs_has_feature_dir_nlink(const_cast<ext2_super_block*>(super)) != 0;
    return is_ext4 ? 65000 : 32000;
}

void ExtTree::check_room_for_subdirectory(const ext2_inode_large& directory) const {
    if (directory.i_links_count >= link_limit() &&
        ext2fs_has_feature_dir_nlink(fs_.handle()->super) == 0) {
        fail(EMLINK, "the directory has too many subdirectories");
    }
}

Attributes ExtTree::make(ext2_ino_t directory, const NewFile& file) {
    check_new_name({directory, file.name});
    const Draft made = draft(directory, file);
    const bool inside = file.link_target.size() < sizeof ext2_inode_large::i_block;
    XattrSet attributes(fs_, made.number, raw_inode(made, file));
    if (made.access) {
        attributes.set({kAccessAcl, ""}, acl_to_disk(*made.access));
    }
    if (made.defaults) {
        attributes.set({kDefaultAcl, ""}, acl_to_disk(*made.defaults));
    }
    check_blocks(directories_.blocks_to_insert(directory, file.name) + attributes.blocks_to_save() +
                 (S_ISDIR(made.mode) || !inside ? 1 : 0));
    changed_ = true;
    claim_inode(fs_, made.number, made.kind());
    attributes.save();
    if (S_ISDIR(made.mode)) {
        directories_.make_first_block(made.number, directory);
    } else if (S_ISLNK(made.mode) && !inside) {
        write_link_target(made.number, file.link_target);
    }
    directories_.insert(directory, file.name, {made.number, record_type_of(made.mode)});
    touch_directory(directory, S_ISDIR(made.mode) ? 1 : 0);
    return this->attributes(made.number);
}

ExtTree::Draft ExtTree::draft(ext2_ino_t directory, const NewFile& file) {
    const auto parent = writable_directory(directory);
    Draft made{.mode = file.mode, .gid = file.gid, .flags = inherited_flags(parent, file.mode)};
    if (record_type_of(file.mode) == EXT2_FT_UNKNOWN) {
        fail(EINVAL, "no such type of file");
    }
    if (S_ISLNK(file.mode)) {
        made.mode = S_IFLNK | 0777;
        if (file.link_target.empty()) {
            fail(ENOENT, "a symbolic link needs a target");
        }
        if (file.link_target.size() >= fs_.block_size()) {
            fail(ENAMETOOLONG, "the symbolic link's target doesn't fit into one block");
        }
    } else {
        const XattrSet attributes(fs_, directory);
        const Bytes* defaults = attributes.find({kDefaultAcl, ""});
        if (defaults == nullptr) {
            made.mode &= ~file.umask;
        } else {
            const Acl inherited = acl_from_disk(*defaults);
            const Acl access = inherit_acl(inherited, made.mode);
            made.access = is_mode_only(access) ? std::nullopt : std::optional(access);
            made.defaults = S_ISDIR(file.mode) ? std::optional(inherited) : std::nullopt;
        }
    }
    if (S_ISDIR(file.mode)) {
        check_room_for_subdirectory(parent);
    }
    if ((parent.i_mode & LINUX_S_ISGID) != 0) {
        made.gid = gid_of(parent);
        made.mode |= S_ISDIR(file.mode) ? S_ISGID : 0;
    }
    made.number = find_free_inode(fs_, directory, made.kind());
    return made;
}

Bytes ExtTree::raw_inode(const Draft& draft, const NewFile& file) {
    const size_t size = EXT2_INODE_SIZE(fs_.handle()->super);
    ext2_inode_large inode{};
    inode.i_mode = static_cast<uint16_t>(draft.mode);
    inode.i_links_count = S_ISDIR(draft.mode) ? 2 : 1;
    inode.i_flags = draft.flags;
    inode.i_generation = static_cast<uint32_t>(generations_());
    if (size > EXT2_GOOD_OLD_INODE_SIZE) {
        inode.i_extra_isize = sizeof inode - EXT2_GOOD_OLD_INODE_SIZE;
    }
    set_uid(inode, file.uid);
    set_gid(inode, draft.gid);
    const timespec now = time_now();
    set_accessed(inode, now);
    set_modified(inode, now);
    set_changed(inode, now);
    set_created(inode, now);
    if (S_ISLNK(draft.mode) && file.link_target.size() < sizeof inode.i_block) {
        std::memcpy(inode.i_block, file.link_target.data(), file.link_target.size());
        inode.i_size = static_cast<uint32_t>(file.link_target.size());
    } else if (S_ISCHR(draft.mode) || S_ISBLK(draft.mode)) {
        set_device(inode, file.device);
    } else if (ext2fs_has_feature_extents(fs_.handle()->super) != 0 &&
               (S_ISREG(draft.mode) || S_ISDIR(draft.mode) || S_ISLNK(draft.mode))) {
        put_empty_extent_tree(inode);
    }
    Bytes raw(size);
    std::memcpy(raw.data(), &inode, std::min(size, sizeof inode));
    return raw;
}

void ExtTree::write_link_target(ext2_ino_t number, std::string_view target) {
    auto link = fs_.inode(number);
    allocate_blocks(fs_, number, link, 0, 1);
    link.i_size = static_cast<uint32_t>(target.size());
    fs_.write_inode(number, link);
    Bytes block(fs_.block_size());
    std::ranges::copy(bytes_of(target), block.begin());
    const auto runs = map_blocks(fs_, number, link, 0, 1);
    ExtFilesystem::check(
        io_channel_write_blk64(fs_.handle()->io, runs.at(0).physical, 1, block.data()),
        "inode " + std::to_string(number));
}

void ExtTree::touch_directory(ext2_ino_t number, int subdirectories) {
    auto directory = inode(number);
    const uint32_t links = directory.i_links_count;
    if (links == 1 && ext2fs_has_feature_filetype(fs_.handle()->super) == 0) {
        // Not counted, and the names don't tell either.
    } else if (links == 1 || links + static_cast<uint32_t>(std::max(subdirectories, 0)) > 65000) {
        // Too many to count, or not any more: the kernel and e2fsck take 1 for "more than 65,000".
        const size_t counted = 2 + directories_.subdirectories(number);
        directory.i_links_count = static_cast<uint16_t>(counted > 65000 ? 1 : counted);
    } else {
        directory.i_links_count = static_cast<uint16_t>(static_cast<int>(links) + subdirectories);
    }
    const timespec now = time_now();
    set_modified(directory, now);
    set_changed(directory, now);
    fs_.write_inode(number, directory);
}

Attributes ExtTree::link(ext2_ino_t number, const NameIn& at) {
    check_new_name(at);
    auto linked = inode(number);
    if (LINUX_S_ISDIR(linked.i_mode)) {
        fail(EPERM, "a directory has only one name");
    }
    if (linked.i_links_count == 0) {
        fail(ENOENT, "the file has been deleted");
    }
    if ((linked.i_flags & (EXT2_IMMUTABLE_FL | EXT2_APPEND_FL)) != 0) {
        fail(EPERM, "the file is immutable or may only grow");
    }
    if (linked.i_links_count >= link_limit()) {
        fail(EMLINK, "the file has too many names");
    }
    check_blocks(directories_.blocks_to_insert(at.directory, at.name));
    changed_ = true;
    ++linked.i_links_count;
    set_changed(linked, time_now());
    fs_.write_inode(number, linked);
    directories_.insert(at.directory, at.name, {number, record_type_of(linked.i_mode)});
    touch_directory(at.directory, 0);
    return attributes_of(fs_, number, linked);
}

ext2_ino_t ExtTree::unlink(const NameIn& at) {
    const NameTarget removed = target(at);
    if (is_directory(removed, fs_)) {
        fail(EISDIR, printable(at.name) + " is a directory");
    }
    check_droppable(removed.inode);
    changed_ = true;
    directories_.remove(at.directory, at.name);
    touch_directory(at.directory, 0);
    return drop_name(removed.inode);
}

ext2_ino_t ExtTree::rmdir(const NameIn& at) {
    const NameTarget removed = target(at);
    if (!is_directory(removed, fs_)) {
        fail(ENOTDIR, printable(at.name) + " is not a directory");
    }
    if (!directories_.empty(removed.inode)) {
        fail(ENOTEMPTY, printable(at.name) + " is not empty");
    }
    check_droppable(removed.inode);
    changed_ = true;
    directories_.remove(at.directory, at.name);
    touch_directory(at.directory, -1);
    return drop_name(removed.inode);
}

/// Damage that would be found half-way is found here.
void ExtTree::check_droppable(ext2_ino_t number) {
    auto dropped = inode(number);
    const XattrSet readable(fs_, number);
    if (has_block_map(dropped)) {
        map_blocks(fs_, number, dropped, 0, UINT32_MAX);
    }
}

ext2_ino_t ExtTree::drop_name(ext2_ino_t number) {
    auto dropped = inode(number);
    const bool last = LINUX_S_ISDIR(dropped.i_mode) || dropped.i_links_count <= 1;
    dropped.i_links_count = last ? uint16_t{} : static_cast<uint16_t>(dropped.i_links_count - 1);
    set_changed(dropped, time_now());
    fs_.write_inode(number, dropped);
    if (!last) {
        return 0;
    }
    XattrSet::drop_block(fs_, number);
    return number;
}

ext2_ino_t ExtTree::rename(const NameIn& from, const NameIn& to, RenameMode mode) {
    const NameTarget source = target(from);
    check_name(to.name);
    writable_directory(to.directory);
    const auto replaced = directories_.find(to.directory, to.name);
    if (replaced && mode == RenameMode::no_replace) {
        fail(EEXIST, printable(to.name) + " is there already");
    }
    if (replaced && replaced->inode == source.inode) {
        return 0;
    }
    check_rename(from, source, to, replaced);
    changed_ = true;
    move_name(from, source, to, replaced.has_value());
    touch_inode(source.inode);
    return replaced ? drop_name(replaced->inode) : 0;
}

void ExtTree::check_rename(const NameIn& from, NameTarget source, const NameIn& to,
                           const std::optional<NameTarget>& replaced) {
    const bool moves_directory = is_directory(source, fs_);
    if (replaced) {
        target(to);  // immutable?
        check_droppable(replaced->inode);
        const bool replaces_directory = is_directory(*replaced, fs_);
        if (moves_directory && !replaces_directory) {
            fail(ENOTDIR, printable(to.name) + " is not a directory");
        }
        if (!moves_directory && replaces_directory) {
            fail(EISDIR, printable(to.name) + " is a directory");
        }
    }
    if (moves_directory) {
        check_no_loop(source.inode, to.directory);
    }
    if (replaced && moves_directory && !directories_.empty(replaced->inode)) {
        fail(ENOTEMPTY, printable(to.name) + " is not empty");
    }
    if (moves_directory && !replaced && from.directory != to.directory) {
        check_room_for_subdirectory(inode(to.directory));
    }
    if (!replaced) {
        check_blocks(directories_.blocks_to_insert(to.directory, to.name));
    }
}

void ExtTree::check_no_loop(ext2_ino_t moved, ext2_ino_t into) {
    std::unordered_set<ext2_ino_t> seen;
    for (ext2_ino_t at = into; at != EXT2_ROOT_INO; at = directories_.parent(at)) {
        if (at == moved) {
            fail(EINVAL, "a directory can't be moved into itself");
        }
        if (!seen.insert(at).second) {
            fail(EUCLEAN, "directory inode " + std::to_string(at) + " is its own parent");
        }
    }
}

void ExtTree::move_name(const NameIn& from, NameTarget source, const NameIn& to, bool replaces) {
    const bool moves_directory = is_directory(source, fs_);
    if (replaces) {
        directories_.set_target(to.directory, to.name, source);
    } else {
        directories_.insert(to.directory, to.name, source);
    }
    directories_.remove(from.directory, from.name);
    if (moves_directory && from.directory != to.directory) {
        directories_.set_parent(source.inode, to.directory);
    }
    // A directory that is replaced leaves to.directory as the moved one enters it.
    const int left = moves_directory ? -1 : 0;
    const int entered = moves_directory && !replaces ? 1 : 0;
    if (from.directory == to.directory) {
        touch_directory(from.directory, left + entered);
    } else {
        touch_directory(from.directory, left);
        touch_directory(to.directory, entered);
    }
}

}  // namespace imgfs
