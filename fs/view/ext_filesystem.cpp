#include "fs/view/ext_filesystem.h"

#include <algorithm>
#include <cerrno>
#include <ctime>

#include "fs/base/checksum.h"
#include "fs/base/error.h"
#include "fs/base/not_yet.h"
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

/// Is the group's bitmap on the device, or not yet? `uninitialised` is its EXT2_BG_… flag.
bool in_use(ext2_filsys fs, uint32_t group, uint16_t uninitialised) {
    return ext2fs_has_group_desc_csum(fs) == 0 ||
           ext2fs_bg_flags_test(fs, group, uninitialised) == 0;
}

Bytes block_bitmap(ext2_filsys fs, uint32_t group) {
    const uint64_t count = EXT2_CLUSTERS_PER_GROUP(fs->super);
    const uint64_t first = fs->super->s_first_data_block + group * count;
    const uint64_t inside = std::min<uint64_t>(count, ext2fs_blocks_count(fs->super) - first);
    Bytes bits(count / 8, std::byte{0xff});  // what is past the end counts as used
    ExtFilesystem::check(ext2fs_get_block_bitmap_range2(fs->block_map, first, inside, bits.data()),
                         "block bitmap of group " + std::to_string(group));
    for (uint64_t bit = inside; bit % 8 != 0; ++bit) {
        bits[bit / 8] |= std::byte{1} << (bit % 8);
    }
    return bits;
}

Bytes inode_bitmap(ext2_filsys fs, uint32_t group) {
    const uint32_t count = EXT2_INODES_PER_GROUP(fs->super);
    Bytes bits((count + 7) / 8);
    ExtFilesystem::check(
        ext2fs_get_inode_bitmap_range2(fs->inode_map, uint64_t{1} + uint64_t{group} * count, count,
                                       bits.data()),
        "inode bitmap of group " + std::to_string(group));
    return bits;
}

ConstByteSpan descriptors(ext2_filsys fs) {
    return {reinterpret_cast<const std::byte*>(fs->group_desc),
            size_t{fs->desc_blocks} * fs->blocksize};
}

ConstByteSpan superblock(ext2_filsys fs) {
    return std::as_bytes(std::span(fs->super, 1));
}

}  // namespace

void ExtFilesystem::Close::operator()(struct_ext2_filsys* handle) const {
    ext2fs_free(handle);  // not ext2fs_close(), which would write
}

ExtFilesystem::ExtFilesystem(Device& device, ViewAccess access)
    : device_(device), registered_(device), read_only_(access == ViewAccess::read_only) {
    check_ext_features(device, access);
    handle_ = open(access);
    block_size_ = handle_->blocksize;
    flush_bytes_ =
        (uint64_t{2} * handle_->group_desc_count + handle_->desc_blocks + 1) * handle_->blocksize;
}

ExtFilesystem::Handle ExtFilesystem::open(ViewAccess access) const {
    static const bool words_for_errors = (initialize_ext2_error_table(), true);
    (void)words_for_errors;
    const std::string place = device_.place(kSuperblockOffset);
    const bool writable = access == ViewAccess::read_write;
    ext2_filsys opened = nullptr;
    check(ext2fs_open2(registered_.name().c_str(), nullptr,
                       EXT2_FLAG_64BITS | EXT2_FLAG_SKIP_MMP | (writable ? EXT2_FLAG_RW : 0), 0, 0,
                       device_io_manager(), &opened),
          place);
    Handle handle(opened);
    check(ext2fs_check_desc(opened), place + ": group descriptors");
    return handle;
}

void ExtFilesystem::prepare_for_changes() {
    if (is_prepared_) {
        return;
    }
    device_.settle();
    std::unique_lock lock(loading_, std::try_to_lock);
    if (!lock.owns_lock()) {
        if (NoWaiting::is_on()) {
            throw NotYet([this] { return !is_loading_; });
        }
        lock.lock();
    }
    if (!is_prepared_) {
        load_bitmaps();
    }
}

/// Into a handle of its own, since that takes long and the other one is in use.
void ExtFilesystem::load_bitmaps() {
    struct Loading {
        explicit Loading(std::atomic<bool>& which) : flag(which) { flag = true; }
        ~Loading() { flag = false; }
        std::atomic<bool>& flag;
    };
    const Loading loading(is_loading_);
    Handle handle = open(ViewAccess::read_write);
    check(ext2fs_read_bitmaps(handle.get()), device_.place(kSuperblockOffset) + ": bitmaps");
    Written written = written_to(handle.get());
    const std::lock_guard lock(mutex_);
    std::swap(handle_, handle);
    written_ = std::move(written);
    is_prepared_ = true;
}

ExtFilesystem::Written ExtFilesystem::written_to(ext2_filsys fs) {
    Written written;
    for (uint32_t group = 0; group < fs->group_desc_count; ++group) {
        written.block_bitmap_hashes.push_back(in_use(fs, group, EXT2_BG_BLOCK_UNINIT)
                                                  ? xxh3_64(block_bitmap(fs, group))
                                                  : kNeverWritten);
        written.inode_bitmap_hashes.push_back(in_use(fs, group, EXT2_BG_INODE_UNINIT)
                                                  ? xxh3_64(inode_bitmap(fs, group))
                                                  : kNeverWritten);
    }
    written.descriptors.assign(descriptors(fs).begin(), descriptors(fs).end());
    written.superblock.assign(superblock(fs).begin(), superblock(fs).end());
    return written;
}

ext2_inode_large ExtFilesystem::inode(ext2_ino_t number) const {
    ext2_inode_large inode{};
    read_inode(number, std::as_writable_bytes(std::span(&inode, 1)));
    return inode;
}

void ExtFilesystem::read_inode(ext2_ino_t number, ByteSpan into) const {
    const errcode_t code =
        ext2fs_read_inode_full(handle(), number, reinterpret_cast<ext2_inode*>(into.data()),
                               static_cast<int>(into.size()));
    if (code != 0) {
        // After a wrong checksum libext2fs' cache has that inode under the number of another.
        ext2fs_flush_icache(handle());
    }
    check(code, "inode " + std::to_string(number));
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
        in_use(fs, group, EXT2_BG_BLOCK_UNINIT), written_.block_bitmap_hashes[group],
        block_bitmap(fs, group),
        [&](Bytes& bits) {
            return ext2fs_block_bitmap_csum_set(fs, group, reinterpret_cast<char*>(bits.data()),
                                                static_cast<int>(bits.size()));
        },
        ext2fs_block_bitmap_loc(fs, group));
    flush_one(
        in_use(fs, group, EXT2_BG_INODE_UNINIT), written_.inode_bitmap_hashes[group],
        inode_bitmap(fs, group),
        [&](Bytes& bits) {
            return ext2fs_inode_bitmap_csum_set(fs, group, reinterpret_cast<char*>(bits.data()),
                                                static_cast<int>(bits.size()));
        },
        ext2fs_inode_bitmap_loc(fs, group));
}

void ExtFilesystem::flush_descriptors() {
    const ConstByteSpan now = descriptors(handle());
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
    if (std::ranges::equal(superblock(handle()), written_.superblock)) {
        return;
    }
    handle_->super->s_wtime = static_cast<uint32_t>(std::time(nullptr));
    check(ext2fs_superblock_csum_set(handle(), handle_->super), "superblock");
    device_.write(kSuperblockOffset, superblock(handle()));
    std::ranges::copy(superblock(handle()), written_.superblock.begin());
}

void ExtFilesystem::reopen_read_only() {
    read_only_ = true;
    written_ = {};
    handle_ = open(ViewAccess::read_only);
}

void ExtFilesystem::check(errcode_t code, const std::string& what) {
    if (const auto cause = take_device_error()) {
        try {
            std::rethrow_exception(cause);
        } catch (const NotYet&) {
            throw;
        } catch (const std::exception& error) {
            if (code != 0) {
                fail(errno_of(error), what + ": " + message_of(error));
            }
        }
    }
    if (code == 0) {
        return;
    }
    fail(errno_of_ext(code), what + ": " + error_message(code));
}

}  // namespace imgfs
