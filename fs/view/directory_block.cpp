// A record: inode le32 at 0, length le16 at 4, name length u8 at 6, type u8 at 7 (without file
// types: name length le16 at 6), name at 8. The tail looks like an unused record of 12 bytes with
// 0xde as its type and the checksum as its name.
#include "fs/view/directory_block.h"

#include <ext2fs/ext2_fs.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "fs/base/error.h"

namespace imgfs {
namespace {

constexpr size_t kHeader = 8;
constexpr size_t kTail = 12;
constexpr uint16_t kTailType = 0xde00;

struct TypeRow {
    uint8_t record;
    uint32_t mode;
};

constexpr TypeRow kTypes[] = {
    {EXT2_FT_REG_FILE, S_IFREG}, {EXT2_FT_DIR, S_IFDIR},  {EXT2_FT_CHRDEV, S_IFCHR},
    {EXT2_FT_BLKDEV, S_IFBLK},   {EXT2_FT_FIFO, S_IFIFO}, {EXT2_FT_SOCK, S_IFSOCK},
    {EXT2_FT_SYMLINK, S_IFLNK},
};

[[noreturn]] void damaged(size_t offset) {
    fail(EUCLEAN, "a directory block has an impossible record at byte " + std::to_string(offset));
}

}  // namespace

uint8_t record_type_of(uint32_t mode) {
    for (const TypeRow& row : kTypes) {
        if (row.mode == (mode & S_IFMT)) {
            return row.record;
        }
    }
    return EXT2_FT_UNKNOWN;
}

uint32_t mode_of(uint8_t record_type) {
    for (const TypeRow& row : kTypes) {
        if (row.record == record_type) {
            return row.mode;
        }
    }
    return 0;
}

bool DirectoryBlock::is_tail(size_t offset) const {
    return format_.has_checksums && offset + kTail == bytes_.size() && le32(bytes_, offset) == 0 &&
           le16(bytes_, offset + 4) == kTail && le16(bytes_, offset + 6) == kTailType;
}

bool DirectoryBlock::has_tail() const {
    bool reached = !format_.has_checksums;
    for_each([&](const DirectoryRecord& record) {
        reached = reached || is_tail(record.offset + record.length);
        return true;
    });
    return reached;
}

DirectoryRecord DirectoryBlock::record_at(size_t offset) const {
    const size_t left = bytes_.size() - offset;
    if (left < kHeader) {
        damaged(offset);
    }
    size_t length = le16(bytes_, offset + 4);
    if (bytes_.size() >= 65536) {  // the length of such a block doesn't fit 16 bits
        length = length == 65535 || length == 0 ? 65536 : (length & 65532) | (length & 3) << 16;
    }
    const size_t name_length =
        format_.has_types ? static_cast<size_t>(bytes_[offset + 6]) : le16(bytes_, offset + 6);
    const auto inode = le32(bytes_, offset);
    if (length < kHeader || length % 4 != 0 || length > left ||
        (inode != 0 && kHeader + name_length > length)) {
        damaged(offset);
    }
    const size_t shown = inode == 0 ? 0 : name_length;
    return {.inode = inode,
            .type = format_.has_types ? static_cast<uint8_t>(bytes_[offset + 7]) : uint8_t{},
            .name = text_of(bytes_.subspan(offset + kHeader, shown)),
            .offset = offset,
            .length = length};
}

void DirectoryBlock::for_each(const std::function<bool(const DirectoryRecord&)>& visit) const {
    // Only walking the records tells a tail: in a block of a hash index the kernel leaves the bytes
    // of an earlier tail where they were, below a record that reaches to the end.
    for (size_t offset = 0; offset < bytes_.size() && !is_tail(offset);) {
        const DirectoryRecord record = record_at(offset);
        if (!visit(record)) {
            return;
        }
        offset += record.length;
    }
}

std::optional<DirectoryRecord> DirectoryBlock::find(std::string_view name) const {
    std::optional<DirectoryRecord> found;
    for_each([&](const DirectoryRecord& record) {
        if (record.inode != 0 && record.name == name) {
            found = record;
        }
        return !found;
    });
    return found;
}

size_t DirectoryBlock::room() const {
    size_t best = 0;
    for_each([&](const DirectoryRecord& record) {
        const size_t used = record.inode == 0 ? 0 : length_for(record.name.size());
        best = std::max(best, record.length - std::min(used, record.length));
        return true;
    });
    return best;
}

bool DirectoryBlock::insert(const DirectoryRecord& record) {
    const size_t needed = length_for(record.name.size());
    std::optional<DirectoryRecord> place;
    size_t used = 0;
    for_each([&](const DirectoryRecord& candidate) {
        const size_t taken = candidate.inode == 0 ? 0 : length_for(candidate.name.size());
        if (candidate.length >= taken + needed) {
            place = candidate;
            used = taken;
        }
        return !place;
    });
    if (!place) {
        return false;
    }
    if (used != 0) {
        set_length(place->offset, used);
    }
    put({.inode = record.inode,
         .type = record.type,
         .name = record.name,
         .offset = place->offset + used,
         .length = place->length - used});
    return true;
}

void DirectoryBlock::remove(const DirectoryRecord& record) {
    std::optional<DirectoryRecord> before;
    for_each([&](const DirectoryRecord& candidate) {
        if (candidate.offset < record.offset) {
            before = candidate;
        }
        return candidate.offset < record.offset;
    });
    if (before) {
        set_length(before->offset, before->length + record.length);
    } else {
        store<uint32_t>(bytes_, record.offset, 0);
    }
}

void DirectoryBlock::set_target(const DirectoryRecord& record, uint32_t inode, uint8_t type) {
    store(bytes_, record.offset, inode);
    if (format_.has_types) {
        store(bytes_, record.offset + 7, type);
    }
}

void DirectoryBlock::put(const DirectoryRecord& record) {
    store(bytes_, record.offset, record.inode);
    set_length(record.offset, record.length);
    store(bytes_, record.offset + 6, static_cast<uint8_t>(record.name.size()));
    store(bytes_, record.offset + 7, format_.has_types ? record.type : uint8_t{});
    std::ranges::copy(bytes_of(record.name),
                      bytes_.subspan(record.offset + kHeader, record.name.size()).begin());
}

void DirectoryBlock::set_length(size_t offset, size_t length) {
    if (bytes_.size() >= 65536) {
        length = length == 65536 ? 65535 : (length & 65532) | (length >> 16 & 3);
    }
    store(bytes_, offset + 4, static_cast<uint16_t>(length));
}

void DirectoryBlock::clear() {
    std::ranges::fill(bytes_, std::byte{});
    const size_t usable = bytes_.size() - (format_.has_checksums ? kTail : 0);
    set_length(0, usable);
    if (format_.has_checksums) {
        store(bytes_, usable + 4, static_cast<uint16_t>(kTail));
        store(bytes_, usable + 6, kTailType);
    }
}

void DirectoryBlock::clear_first(uint32_t self, uint32_t parent) {
    clear();
    insert({.inode = self, .type = EXT2_FT_DIR, .name = "."});
    insert({.inode = parent, .type = EXT2_FT_DIR, .name = ".."});
}

}  // namespace imgfs
