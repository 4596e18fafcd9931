#include "fs/view/ext_filesystem.h"

#include <algorithm>
#include <cerrno>
#include <ctime>

#include "fs/base/checksum.h"
#include "fs/base/error.h"
#include "fs/view/ext_features.h"

namespace imgfs {
namespace {

constexpr uint64_t kSuperblockOffset = 1024;
constexpr uint64_t kNeverWritten = 0;  // as the hash of a bitmap that the device doesn't hold yet
constexpr int kDirtyFlags =
    EXT2_FLAG_DIRTY | EXT2_FLAG_CHANGED | EXT2_FLAG_BB_DIRTY | EXT2_FLAG_IB_DIRTY;

/// The errno for an error number of libext2fs'; what it has no better word for is damage.
int errno_of_ext(errcode_t code) {
    if (code > 0 && code < 256) {
        return static_cast<int>(code);  // an errno from the device or the C library
    }
    switch (code) {
        case EXT2_ET_NO_MEMORY:
            return ENOMEM;
        case EXT2_ET_BLOCK_ALLOC_FAIL:
        case EXT2_ET_INODE_ALLOC_FAIL:
        case EXT2_ET_DIR_NO_SPACE:
        case EXT2_ET_EA_NO_SPACE:
            return ENOSPC;
        case EXT2_ET_RO_FILSYS:
        case EXT2_ET_RO_UNSUPP_FEATURE:
            return EROFS;
        case EXT2_ET_FILE_NOT_FOUND:
            return ENOENT;
        case EXT2_ET_DIR_EXISTS:
        case EXT2_ET_FILE_EXISTS:
            return EEXIST;
        case EXT2_ET_NO_DIRECTORY:
            return ENOTDIR;
        case EXT2_ET_FILE_TOO_BIG:
            return EFBIG;
        case EXT2_ET_EA_KEY_NOT_FOUND:
            return ENODATA;
        case EXT2_ET_INVALID_ARGUMENT:
            return EINVAL;
        case EXT2_ET_UNSUPP_FEATURE:
        case EXT2_ET_UNIMPLEMENTED:
        case EXT2_ET_OP_NOT_SUPPORTED:
            return ENOTSUP;
        default:
            return EUCLEAN;
    }
}

}  // namespace

void ExtFilesystem::Close::operator()(struct_ext2_filsys* handle) const {
    ext2fs_free(handle);  // not ext2fs_close(), which would write
}

ExtFilesystem::ExtFilesystem(Device& device, ViewAccess access)
    : device_(device), registered_(device), read_only_(access == ViewAccess::read_only) {
    check_ext_features(device, access);
    open(access);
}

void ExtFilesystem::open(ViewAccess access) {
    static const bool words_for_errors = (initialize_ext2_error_table(), true);
    (void)words_for_errors;
    const std::string place = device_.place(kSuperblockOffset);
    const bool writable = access == ViewAccess::read_write;
    ext2_filsys opened = nullptr;
    check(ext2fs_open2(registered_.name().c_str(), nullptr,
                       EXT2_FLAG_64BITS | EXT2_FLAG_SKIP_MMP | (writable ? EXT2_FLAG_RW : 0), 0, 0,
                       device_io_manager(), &opened),
          place);
    handle_.reset(opened);
    block_size_ = opened->blocksize;
    check(ext2fs_check_desc(opened), place + ": group descriptors");
    if (writable) {
        check(ext2fs_read_bitmaps(opened), place + ": bitmaps");
        remember_written();
    }
}

void ExtFilesystem::remember_written() {
    written_ = {};
    for (uint32_t group = 0; group < handle_->group_desc_count; ++group) {
        written_.block_bitmap_hashes.push_back(
            in_use(group, EXT2_BG_BLOCK_UNINIT) ? xxh3_64(block_bitmap(group)) : kNeverWritten);
        written_.inode_bitmap_hashes.push_back(
            in_use(group, EXT2_BG_INODE_UNINIT) ? xxh3_64(inode_bitmap(group)) : kNeverWritten);
    }
    written_.descriptors.assign(descriptors().begin(), descriptors().end());
    written_.superblock.assign(superblock().begin(), superblock().end());
    flush_bytes_ =
        (uint64_t{2} * handle_->group_desc_count + handle_->desc_blocks + 1) * handle_->blocksize;
}

ext2_inode_large ExtFilesystem::inode(ext2_ino_t number) const {
    ext2_inode_large inode{};
    check(ext2fs_read_inode_full(handle(), number, reinterpret_cast<ext2_inode*>(&inode),
                                 static_cast<int>(sizeof inode)),
          "inode " + std::to_string(number));
    return inode;
}

void ExtFilesystem::write_inode(ext2_ino_t number, const ext2_inode_large& inode) {
    auto copy = inode;
    check(ext2fs_write_inode_full(handle(), number, reinterpret_cast<ext2_inode*>(&copy),
                                  static_cast<int>(sizeof copy)),
          "inode " + std::to_string(number));
}

void ExtFilesystem::flush() {
    if (read_only_ || (handle_->flags & kDirtyFlags) == 0) {
        return;
    }
    // Bitmaps first: their checksums stand in the descriptors.
    if ((handle_->flags & (EXT2_FLAG_BB_DIRTY | EXT2_FLAG_IB_DIRTY)) != 0) {
        for (uint32_t group = 0; group < handle_->group_desc_count; ++group) {
            flush_bitmaps(group);
        }
    }
    flush_descriptors();
    flush_superblock();
    handle_->flags &= ~kDirtyFlags;
}

void ExtFilesystem::flush_bitmaps(uint32_t group) {
    const ext2_filsys fs = handle();
    const auto flush_one = [&](bool used, uint64_t& hash, Bytes bits, auto set_checksum,
                               blk64_t block) {
        const uint64_t now = xxh3_64(bits);
        if (!used || now == hash) {
            return;
        }
        check(set_checksum(bits), "bitmap of group " + std::to_string(group));
        ext2fs_group_desc_csum_set(fs, group);
        bits.resize(fs->blocksize, std::byte{0xff});
        check(io_channel_write_blk64(fs->io, block, 1, bits.data()),
              "bitmap of group " + std::to_string(group));
        hash = now;
    };
    flush_one(
        in_use(group, EXT2_BG_BLOCK_UNINIT), written_.block_bitmap_hashes[group],
        block_bitmap(group),
        [&](Bytes& bits) {
            return ext2fs_block_bitmap_csum_set(fs, group, reinterpret_cast<char*>(bits.data()),
                                                static_cast<int>(bits.size()));
        },
        ext2fs_block_bitmap_loc(fs, group));
    flush_one(
        in_use(group, EXT2_BG_INODE_UNINIT), written_.inode_bitmap_hashes[group],
        inode_bitmap(group),
        [&](Bytes& bits) {
            return ext2fs_inode_bitmap_csum_set(fs, group, reinterpret_cast<char*>(bits.data()),
                                                static_cast<int>(bits.size()));
        },
        ext2fs_inode_bitmap_loc(fs, group));
}

bool ExtFilesystem::in_use(uint32_t group, uint16_t uninitialised) const {
    return ext2fs_has_group_desc_csum(handle()) == 0 ||
           ext2fs_bg_flags_test(handle(), group, uninitialised) == 0;
}

void ExtFilesystem::flush_descriptors() {
    const ConstByteSpan now = descriptors();
    const size_t block_size = handle_->blocksize;
    for (size_t i = 0; i < handle_->desc_blocks; ++i) {
        const auto block = now.subspan(i * block_size, block_size);
        const auto old = ByteSpan(written_.descriptors).subspan(i * block_size, block_size);
        if (std::ranges::equal(block, old)) {
            continue;
        }
        const blk64_t at = ext2fs_descriptor_block_loc2(
            handle(), handle_->super->s_first_data_block, static_cast<dgrp_t>(i));
        check(io_channel_write_blk64(handle_->io, at, 1, block.data()), "group descriptors");
        std::ranges::copy(block, old.begin());
    }
}

void ExtFilesystem::flush_superblock() {
    if (std::ranges::equal(superblock(), written_.superblock)) {
        return;
    }
    handle_->super->s_wtime = static_cast<uint32_t>(std::time(nullptr));
    check(ext2fs_superblock_csum_set(handle(), handle_->super), "superblock");
    device_.write(kSuperblockOffset, superblock());
    std::ranges::copy(superblock(), written_.superblock.begin());
}

void ExtFilesystem::reopen_read_only() {
    read_only_ = true;
    written_ = {};
    open(ViewAccess::read_only);
}

Bytes ExtFilesystem::block_bitmap(uint32_t group) const {
    const ext2_filsys fs = handle();
    const uint64_t count = EXT2_CLUSTERS_PER_GROUP(fs->super);
    const uint64_t first = fs->super->s_first_data_block + group * count;
    const uint64_t inside = std::min<uint64_t>(count, ext2fs_blocks_count(fs->super) - first);
    Bytes bits(count / 8, std::byte{0xff});  // what is past the end counts as used
    check(ext2fs_get_block_bitmap_range2(fs->block_map, first, inside, bits.data()),
          "block bitmap of group " + std::to_string(group));
    for (uint64_t bit = inside; bit % 8 != 0; ++bit) {
        bits[bit / 8] |= std::byte{1} << (bit % 8);
    }
    return bits;
}

Bytes ExtFilesystem::inode_bitmap(uint32_t group) const {
    const ext2_filsys fs = handle();
    const uint32_t count = EXT2_INODES_PER_GROUP(fs->super);
    Bytes bits((count + 7) / 8);
    check(ext2fs_get_inode_bitmap_range2(fs->inode_map, uint64_t{1} + uint64_t{group} * count,
                                         count, bits.data()),
          "inode bitmap of group " + std::to_string(group));
    return bits;
}

ConstByteSpan ExtFilesystem::descriptors() const {
    return {reinterpret_cast<const std::byte*>(handle_->group_desc),
            size_t{handle_->desc_blocks} * handle_->blocksize};
}

ConstByteSpan ExtFilesystem::superblock() const {
    return std::as_bytes(std::span(handle_->super, 1));
}

void ExtFilesystem::check(errcode_t code, const std::string& what) {
    const auto cause = take_device_error();
    if (code == 0) {
        return;
    }
    if (cause) {
        try {
            std::rethrow_exception(cause);
        } catch (const std::exception& error) {
            fail(errno_of(error), what + ": " + message_of(error));
        }
    }
    fail(errno_of_ext(code), what + ": " + error_message(code));
}

}  // namespace imgfs
