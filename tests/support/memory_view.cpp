#include "tests/support/memory_view.h"

#include <algorithm>
#include <cerrno>

#include "fs/base/error.h"

namespace imgfs {
namespace {

timespec now() {
    timespec time{};
    ::clock_gettime(CLOCK_REALTIME, &time);
    return time;
}

void check_name(std::string_view name) {
    if (name.size() > 255) {
        fail(ENAMETOOLONG, "the name is too long");
    }
}

}  // namespace

MemoryView::MemoryView(uint32_t uid) {
    auto& root = nodes_[kRootInode];
    root.parent = kRootInode;
    root.attributes = {.inode = kRootInode, .mode = S_IFDIR | 0755, .links = 2, .uid = uid};
    touch(root);
}

std::optional<Attributes> MemoryView::lookup(InodeNumber directory_inode, std::string_view name) {
    const std::lock_guard lock(mutex_);
    check_name(name);
    const auto& names = directory(directory_inode).names;
    const auto found = names.find(name);
    return found == names.end() ? std::nullopt : std::optional(node(found->second).attributes);
}

Attributes MemoryView::attributes(InodeNumber inode) {
    const std::lock_guard lock(mutex_);
    return node(inode).attributes;
}

std::string MemoryView::link_target(InodeNumber inode) {
    const std::lock_guard lock(mutex_);
    return node(inode).link_target;
}

std::vector<DirectoryEntry> MemoryView::entries(InodeNumber inode) {
    const std::lock_guard lock(mutex_);
    const auto& listed = directory(inode);
    std::vector<DirectoryEntry> result{{inode, S_IFDIR, "."}, {listed.parent, S_IFDIR, ".."}};
    for (const auto& [name, number] : listed.names) {
        result.push_back({number, node(number).attributes.mode & S_IFMT, name});
    }
    return result;
}

Space MemoryView::space() {
    const std::lock_guard lock(mutex_);
    return {.block_size = 4096,
            .blocks = 100000,
            .free_blocks = 90000,
            .available_blocks = 80000,
            .inodes = 50000,
            .free_inodes = 50000 - nodes_.size()};
}

void MemoryView::open(InodeNumber inode) {
    const std::lock_guard lock(mutex_);
    ++node(inode).opened;
}

void MemoryView::close(InodeNumber inode) {
    const std::lock_guard lock(mutex_);
    --node(inode).opened;
    forget_if_unused(inode);
}

size_t MemoryView::read(InodeNumber inode, uint64_t offset, ByteSpan out) {
    const std::lock_guard lock(mutex_);
    const auto& content = node(inode).content;
    if (offset >= content.size()) {
        return 0;
    }
    const auto count = std::min<size_t>(out.size(), content.size() - offset);
    std::ranges::copy(ConstByteSpan(content).subspan(offset, count), out.begin());
    return count;
}

std::optional<Bytes> MemoryView::xattr(InodeNumber inode, const std::string& name) {
    const std::lock_guard lock(mutex_);
    const auto& xattrs = node(inode).xattrs;
    const auto found = xattrs.find(name);
    return found == xattrs.end() ? std::nullopt : std::optional(found->second);
}

std::vector<std::string> MemoryView::xattr_names(InodeNumber inode) {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> names;
    for (const auto& [name, value] : node(inode).xattrs) {
        names.push_back(name);
    }
    return names;
}

void MemoryView::write(InodeNumber inode, uint64_t offset, ConstByteSpan bytes) {
    const std::lock_guard lock(mutex_);
    check_writable();
    auto& file = node(inode);
    resize(file, std::max<uint64_t>(file.content.size(), offset + bytes.size()));
    std::ranges::copy(bytes, file.content.begin() + static_cast<ptrdiff_t>(offset));
    touch(file);
}

Attributes MemoryView::change(InodeNumber inode, const AttributeChanges& changes) {
    const std::lock_guard lock(mutex_);
    check_writable();
    auto& changed = node(inode);
    auto& attributes = changed.attributes;
    if (changes.size) {
        resize(changed, *changes.size);
        attributes.modified = now();
    }
    if (changes.mode) {
        attributes.mode = (attributes.mode & S_IFMT) | *changes.mode;
    }
    attributes.uid = changes.uid.value_or(attributes.uid);
    attributes.gid = changes.gid.value_or(attributes.gid);
    attributes.accessed = changes.accessed.value_or(attributes.accessed);
    attributes.modified = changes.modified.value_or(attributes.modified);
    attributes.changed = changes.changed.value_or(now());
    return attributes;
}

Attributes MemoryView::make(InodeNumber directory_inode, const NewFile& file) {
    const std::lock_guard lock(mutex_);
    check_writable();
    check_name(file.name);
    auto& parent = directory(directory_inode);
    if (parent.names.contains(file.name)) {
        fail(EEXIST, "the name is there");
    }
    const auto inode = next_inode_++;
    auto& made = nodes_[inode];
    const bool is_directory = S_ISDIR(file.mode);
    made.attributes = {.inode = inode,
                       .generation = next_generation_++,
                       .mode = file.mode & ~file.umask,
                       .links = is_directory ? 2U : 1U,
                       .uid = file.uid,
                       .gid = file.gid,
                       .device = file.device};
    if ((parent.attributes.mode & S_ISGID) != 0) {
        made.attributes.gid = parent.attributes.gid;
        made.attributes.mode |= is_directory ? S_ISGID : 0U;
    }
    if (S_ISLNK(file.mode)) {
        made.link_target = file.link_target;
        made.attributes.size = file.link_target.size();
    }
    made.parent = directory_inode;
    touch(made);
    made.attributes.accessed = made.attributes.modified;
    parent.names.emplace(file.name, inode);
    parent.attributes.links += is_directory ? 1 : 0;
    touch(parent);
    return made.attributes;
}

Attributes MemoryView::link(InodeNumber inode, InodeNumber directory_inode, std::string_view name) {
    const std::lock_guard lock(mutex_);
    check_writable();
    check_name(name);
    auto& parent = directory(directory_inode);
    if (!parent.names.emplace(name, inode).second) {
        fail(EEXIST, "the name is there");
    }
    touch(parent);
    auto& attributes = node(inode).attributes;
    ++attributes.links;
    attributes.changed = now();
    return attributes;
}

void MemoryView::unlink(InodeNumber directory_inode, std::string_view name) {
    const std::lock_guard lock(mutex_);
    check_writable();
    auto& parent = directory(directory_inode);
    const auto found = parent.names.find(name);
    if (found == parent.names.end()) {
        fail(ENOENT, "there is no such name");
    }
    if (S_ISDIR(node(found->second).attributes.mode)) {
        fail(EISDIR, "it is a directory");
    }
    remove_name(parent, name);
}

void MemoryView::rmdir(InodeNumber directory_inode, std::string_view name) {
    const std::lock_guard lock(mutex_);
    check_writable();
    auto& parent = directory(directory_inode);
    const auto found = parent.names.find(name);
    if (found == parent.names.end()) {
        fail(ENOENT, "there is no such name");
    }
    if (!directory(found->second).names.empty()) {
        fail(ENOTEMPTY, "the directory is not empty");
    }
    remove_name(parent, name);
}

void MemoryView::rename(InodeNumber directory_inode, std::string_view name,
                        InodeNumber new_directory, std::string_view new_name, RenameMode mode) {
    const std::lock_guard lock(mutex_);
    check_writable();
    check_name(new_name);
    auto& from = directory(directory_inode);
    auto& to = directory(new_directory);
    const auto found = from.names.find(name);
    if (found == from.names.end()) {
        fail(ENOENT, "there is no such name");
    }
    const auto inode = found->second;
    auto& moved = node(inode);
    const auto target = to.names.find(new_name);
    if (target != to.names.end() && mode == RenameMode::no_replace) {
        fail(EEXIST, "the name is there");
    }
    if (target != to.names.end() && target->second == inode) {
        return;
    }
    if (target != to.names.end()) {
        replace_target(to, new_name, moved);
    }
    from.names.erase(from.names.find(name));
    to.names.emplace(new_name, inode);
    if (S_ISDIR(moved.attributes.mode)) {
        --from.attributes.links;
        ++to.attributes.links;
        moved.parent = new_directory;
    }
    touch(from);
    touch(to);
    moved.attributes.changed = now();
}

void MemoryView::set_xattr(InodeNumber inode, const std::string& name, ConstByteSpan value,
                           XattrMode mode) {
    const std::lock_guard lock(mutex_);
    check_writable();
    auto& changed = node(inode);
    const bool present = changed.xattrs.contains(name);
    if (present && mode == XattrMode::create) {
        fail(EEXIST, "the attribute is there");
    }
    if (!present && mode == XattrMode::replace) {
        fail(ENODATA, "there is no such attribute");
    }
    changed.xattrs[name] = Bytes(value.begin(), value.end());
    if (name == "system.posix_acl_access") {
        follow_acl(changed, value);
    }
    changed.attributes.changed = now();
}

void MemoryView::remove_xattr(InodeNumber inode, const std::string& name) {
    const std::lock_guard lock(mutex_);
    check_writable();
    auto& changed = node(inode);
    if (changed.xattrs.erase(name) == 0) {
        fail(ENODATA, "there is no such attribute");
    }
    changed.attributes.changed = now();
}

void MemoryView::on_commit(std::function<void()> action) {
    const std::lock_guard lock(mutex_);
    on_commit_ = std::move(action);
}

void MemoryView::commit() {
    ++commits_;
    std::function<void()> action;
    {
        const std::lock_guard lock(mutex_);
        action = on_commit_;
    }
    if (!action) {
        return;
    }
    try {
        action();
    } catch (const std::exception& error) {
        const std::lock_guard lock(mutex_);
        failure_ = message_of(error);
        throw;
    }
}

size_t MemoryView::inodes() const {
    const std::lock_guard lock(mutex_);
    return nodes_.size();
}

MemoryView::Node& MemoryView::node(InodeNumber inode) {
    const auto found = nodes_.find(inode);
    if (found == nodes_.end()) {
        fail(ENOENT, "inode " + std::to_string(inode) + " is not there");
    }
    return found->second;
}

MemoryView::Node& MemoryView::directory(InodeNumber inode) {
    auto& found = node(inode);
    if (!S_ISDIR(found.attributes.mode)) {
        fail(ENOTDIR, "it is not a directory");
    }
    return found;
}

void MemoryView::check_writable() const {
    if (read_only_) {
        fail(EROFS, "the view is read-only");
    }
}

void MemoryView::touch(Node& changed) {
    changed.attributes.modified = changed.attributes.changed = now();
}

// The mode shows the owner's, the mask's (else the group's) and the others' entry.
void MemoryView::follow_acl(Node& changed, ConstByteSpan acl) {
    constexpr uint16_t kUser = 1;
    constexpr uint16_t kGroup = 4;
    constexpr uint16_t kMask = 16;
    constexpr uint16_t kOther = 32;
    auto& mode = changed.attributes.mode;
    bool masked = false;
    for (size_t entry = 4; entry + 8 <= acl.size(); entry += 8) {
        const auto tag = le16(acl, entry);
        const uint32_t permissions = le16(acl, entry + 2) & 7U;
        masked = masked || tag == kMask;
        if (tag == kUser) {
            mode = (mode & ~0700U) | permissions << 6U;
        } else if (tag == kMask || (tag == kGroup && !masked)) {
            mode = (mode & ~0070U) | permissions << 3U;
        } else if (tag == kOther) {
            mode = (mode & ~0007U) | permissions;
        }
    }
}

void MemoryView::resize(Node& file, uint64_t size) {
    file.content.resize(size);
    file.attributes.size = size;
    file.attributes.sectors = round_up(size, 4096) / 512;
}

void MemoryView::remove_name(Node& parent, std::string_view name) {
    const auto found = parent.names.find(name);
    const auto inode = found->second;
    parent.names.erase(found);
    touch(parent);
    if (S_ISDIR(node(inode).attributes.mode)) {
        --parent.attributes.links;
    }
    drop_link(inode);
}

void MemoryView::drop_link(InodeNumber inode) {
    auto& attributes = node(inode).attributes;
    attributes.links = S_ISDIR(attributes.mode) ? 0 : attributes.links - 1;
    attributes.changed = now();
    forget_if_unused(inode);
}

void MemoryView::forget_if_unused(InodeNumber inode) {
    const auto& unused = node(inode);
    if (unused.attributes.links == 0 && unused.opened == 0) {
        nodes_.erase(inode);
    }
}

void MemoryView::replace_target(Node& parent, std::string_view name, const Node& moved) {
    const auto& target = node(parent.names.find(name)->second);
    const bool target_is_directory = S_ISDIR(target.attributes.mode);
    if (S_ISDIR(moved.attributes.mode) != target_is_directory) {
        fail(target_is_directory ? EISDIR : ENOTDIR, "a directory and something else");
    }
    if (!target.names.empty()) {
        fail(ENOTEMPTY, "the directory is not empty");
    }
    remove_name(parent, name);
}

}  // namespace imgfs
