// An area of attributes: entries from its start, values from its end. An entry: name length u8 at
// 0, prefix u8 at 1, value offset le16 at 2, value inode le32 at 4, value size le32 at 8, hash le32
// at 12, name at 16, padded to 4; a zero le32 ends them. In the inode, the area follows the known
// fields and a magic number, and offsets count from the first entry; in a block it follows a header
// of 32 bytes, entries are sorted, and offsets count from the block's start.
#include "fs/view/ext_xattr.h"

#include <algorithm>
#include <cerrno>
#include <tuple>

#include "fs/base/error.h"
#include "fs/view/ext_inode.h"

namespace imgfs {
namespace {

constexpr size_t kEntryHeader = sizeof(ext2_ext_attr_entry);
constexpr size_t kBlockHeader = sizeof(ext2_ext_attr_header);
constexpr size_t kMagic = 4;
constexpr size_t kEndMark = 4;
constexpr size_t kNameLimit = 255;

struct PrefixRow {
    uint8_t number;
    std::string_view text;
    bool whole;  ///< nothing follows it
};

constexpr PrefixRow kPrefixes[] = {
    {1, "user.", false},
    {kAccessAcl, "system.posix_acl_access", true},
    {kDefaultAcl, "system.posix_acl_default", true},
    {4, "trusted.", false},
    {6, "security.", false},
};

size_t padded(size_t length) {
    return round_up(length, 4);
}

size_t space_of(const XattrEntry& entry) {
    return kEntryHeader + padded(entry.name.rest.size()) + padded(entry.value.size());
}

/// Fills `area`, in which entries start at `first_entry` and offsets count from `origin`.
void put_entries(ByteSpan area, size_t first_entry, size_t origin,
                 const std::vector<const XattrEntry*>& entries) {
    size_t at = first_entry;
    size_t values = area.size();
    for (const XattrEntry* entry : entries) {
        values -= padded(entry->value.size());
        const size_t offset = entry->value.empty() ? 0 : values - origin;
        store(area, at, static_cast<uint8_t>(entry->name.rest.size()));
        store(area, at + 1, entry->name.prefix);
        store(area, at + 2, static_cast<uint16_t>(offset));
        store(area, at + 8, static_cast<uint32_t>(entry->value.size()));
        std::ranges::copy(bytes_of(entry->name.rest), area.subspan(at + kEntryHeader).begin());
        std::ranges::copy(entry->value, area.subspan(values).begin());
        at += kEntryHeader + padded(entry->name.rest.size());
    }
}

void put_hashes(ExtFilesystem& fs, ByteSpan block) {
    for (size_t at = kBlockHeader; le32(block, at) != 0;) {
        auto* entry = reinterpret_cast<ext2_ext_attr_entry*>(&block[at]);
        ExtFilesystem::check(ext2fs_ext_attr_hash_entry2(
                                 fs.handle(), entry, &block[entry->e_value_offs], &entry->e_hash),
                             "attribute block");
        at += kEntryHeader + padded(entry->e_name_len);
    }
}

ext2_inode* inode_in(Bytes& raw) {
    return reinterpret_cast<ext2_inode*>(raw.data());
}

std::string attributes_of_inode(ext2_ino_t number) {
    return "extended attributes of inode " + std::to_string(number);
}

}  // namespace

std::optional<XattrName> xattr_name_of(std::string_view name) {
    for (const PrefixRow& row : kPrefixes) {
        if (!name.starts_with(row.text)) {
            continue;
        }
        const auto rest = name.substr(row.text.size());
        if (rest.empty() == row.whole && rest.size() <= kNameLimit) {
            return XattrName{row.number, std::string(rest)};
        }
    }
    return std::nullopt;
}

XattrSet::XattrSet(ExtFilesystem& fs, ext2_ino_t number)
    : XattrSet(fs, number, read_raw_inode(fs, number)) {}

XattrSet::XattrSet(ExtFilesystem& fs, ext2_ino_t number, Bytes raw)
    : fs_(fs), number_(number), raw_(std::move(raw)) {
    const size_t area = inode_area();
    if (area != 0 && le32(raw_, area) == EXT2_EXT_ATTR_MAGIC) {
        parse(ConstByteSpan(raw_).subspan(area + kMagic), 0);
    }
    const blk64_t block = ext2fs_file_acl_block(fs_.handle(), inode_in(raw_));
    if (block != 0) {
        Bytes bytes(fs_.block_size());
        ExtFilesystem::check(ext2fs_read_ext_attr3(fs_.handle(), block, bytes.data(), number_),
                             attributes_of_inode(number_));
        parse(bytes, kBlockHeader);
    }
}

/// Where the inode's own area begins; 0 if it has none.
size_t XattrSet::inode_area() const {
    if (raw_.size() <= EXT2_GOOD_OLD_INODE_SIZE) {
        return 0;
    }
    const size_t extra = le16(raw_, EXT2_GOOD_OLD_INODE_SIZE);
    const size_t begin = EXT2_GOOD_OLD_INODE_SIZE + extra;
    if (extra % 4 != 0 || begin > raw_.size()) {
        fail(EUCLEAN,
             attributes_of_inode(number_) + ": the inode's extra size is " + std::to_string(extra));
    }
    return extra == 0 || raw_.size() - begin < kMagic + kEndMark ? 0 : begin;
}

void XattrSet::parse(ConstByteSpan area, size_t first_entry) {
    for (size_t at = first_entry; area.size() - at >= kEndMark && le32(area, at) != 0;) {
        const size_t left = area.size() - at;
        const size_t name_length = left < kEntryHeader ? 0 : static_cast<size_t>(area[at]);
        const size_t length = kEntryHeader + padded(name_length);
        if (left < length) {
            fail(EUCLEAN, attributes_of_inode(number_) + ": a name passes the end");
        }
        const size_t offset = le16(area, at + 2);
        const size_t size = le32(area, at + 8);
        if (le32(area, at + 4) != 0 || size > area.size() || offset > area.size() - size) {
            fail(EUCLEAN, attributes_of_inode(number_) + ": a value lies outside");
        }
        const auto value = area.subspan(offset, size);
        entries_.push_back({{static_cast<uint8_t>(area[at + 1]),
                             std::string(text_of(area.subspan(at + kEntryHeader, name_length)))},
                            Bytes(value.begin(), value.end())});
        at += length;
    }
}

const Bytes* XattrSet::find(const XattrName& name) const {
    const auto found = std::ranges::find(entries_, name, &XattrEntry::name);
    return found == entries_.end() ? nullptr : &found->value;
}

std::vector<std::string> XattrSet::names() const {
    std::vector<std::string> names;
    for (const XattrEntry& entry : entries_) {
        const auto row = std::ranges::find(kPrefixes, entry.name.prefix, &PrefixRow::number);
        if (row != std::end(kPrefixes)) {
            names.push_back(std::string(row->text) + entry.name.rest);
        }
    }
    return names;
}

void XattrSet::set(const XattrName& name, ConstByteSpan value) {
    Bytes copy(value.begin(), value.end());
    const auto found = std::ranges::find(entries_, name, &XattrEntry::name);
    if (found == entries_.end()) {
        entries_.push_back({name, std::move(copy)});
    } else {
        found->value = std::move(copy);
    }
}

void XattrSet::remove(const XattrName& name) {
    std::erase_if(entries_, [&](const XattrEntry& entry) { return entry.name == name; });
}

XattrSet::Layout XattrSet::layout() const {
    const size_t area = inode_area();
    size_t inside = area == 0 ? 0 : raw_.size() - area - kMagic - kEndMark;
    size_t in_block = fs_.block_size() - kBlockHeader - kEndMark;
    Layout layout;
    for (const XattrEntry& entry : entries_) {
        const size_t space = space_of(entry);
        if (space <= inside) {
            layout.inside.push_back(&entry);
            inside -= space;
        } else if (space <= in_block) {
            layout.in_block.push_back(&entry);
            in_block -= space;
        } else {
            fail(ENOSPC, attributes_of_inode(number_) + " don't fit into one block");
        }
    }
    std::ranges::sort(layout.in_block, {}, [](const XattrEntry* entry) {
        return std::tuple(entry->name.prefix, entry->name.rest.size(),
                          std::string_view(entry->name.rest));
    });
    return layout;
}

uint64_t XattrSet::blocks_to_save() const {
    return layout().in_block.empty() ? 0 : 1;
}

void XattrSet::save() {
    const Layout where = layout();
    write_inside(where);
    if (where.in_block.empty()) {
        write_raw_inode(fs_, number_, raw_);
        drop_block(fs_, number_);
        return;
    }
    save_block(block_bytes(where));
    write_raw_inode(fs_, number_, raw_);
    if (ext2fs_has_feature_xattr(fs_.handle()->super) == 0) {
        ext2fs_set_feature_xattr(fs_.handle()->super);
        ext2fs_mark_super_dirty(fs_.handle());
    }
}

void XattrSet::write_inside(const Layout& layout) {
    const size_t area = inode_area();
    if (area == 0) {
        return;
    }
    const ByteSpan whole = ByteSpan(raw_).subspan(area);
    std::ranges::fill(whole, std::byte{});
    if (!layout.inside.empty()) {
        store<uint32_t>(whole, 0, EXT2_EXT_ATTR_MAGIC);
        put_entries(whole.subspan(kMagic), 0, 0, layout.inside);
    }
}

Bytes XattrSet::block_bytes(const Layout& layout) const {
    Bytes block(fs_.block_size());
    store<uint32_t>(block, 0, EXT2_EXT_ATTR_MAGIC);
    store<uint32_t>(block, 4, 1);  // references
    store<uint32_t>(block, 8, 1);  // blocks
    put_entries(block, kBlockHeader, 0, layout.in_block);
    put_hashes(fs_, block);
    return block;
}

/// Into the old block, or a new one if there is none or others share it.
void XattrSet::save_block(Bytes bytes) {
    const blk64_t old = ext2fs_file_acl_block(fs_.handle(), inode_in(raw_));
    if (old != 0) {
        Bytes present(fs_.block_size());
        ExtFilesystem::check(ext2fs_read_ext_attr3(fs_.handle(), old, present.data(), number_),
                             attributes_of_inode(number_));
        if (le32(present, 4) > 1) {
            take_block(old);
        }
    } else {
        take_block(0);
    }
    ExtFilesystem::check(
        ext2fs_write_ext_attr3(fs_.handle(), ext2fs_file_acl_block(fs_.handle(), inode_in(raw_)),
                               bytes.data(), number_),
        attributes_of_inode(number_));
}

void XattrSet::take_block(uint64_t old) {
    const ext2_filsys fs = fs_.handle();
    if (old != 0) {
        ExtFilesystem::check(ext2fs_adjust_ea_refcount3(fs, old, nullptr, -1, nullptr, number_),
                             attributes_of_inode(number_));
    } else {
        ExtFilesystem::check(ext2fs_iblk_add_blocks(fs, inode_in(raw_), 1),
                             attributes_of_inode(number_));
    }
    blk64_t block = 0;
    ExtFilesystem::check(
        ext2fs_new_block2(fs, ext2fs_find_inode_goal(fs, number_, inode_in(raw_), 0), nullptr,
                          &block),
        attributes_of_inode(number_));
    ext2fs_block_alloc_stats2(fs, block, +1);
    ext2fs_file_acl_block_set(fs, inode_in(raw_), block);
}

void XattrSet::drop_block(ExtFilesystem& fs, ext2_ino_t number) {
    auto inode = fs.inode(number);
    const blk64_t block = ext2fs_file_acl_block(fs.handle(), plain(inode));
    if (block == 0) {
        return;
    }
    ExtFilesystem::check(ext2fs_free_ext_attr(fs.handle(), number, &inode),
                         attributes_of_inode(number));
    fs.write_inode(number, inode);
    if (ext2fs_test_block_bitmap2(fs.handle()->block_map, block) == 0) {
        fs.device().discard(block * fs.block_size(), fs.block_size());
    }
}

}  // namespace imgfs
