#include "fs/view/ext_used_blocks.h"

#include <algorithm>
#include <memory>

#include "fs/base/error.h"
#include "fs/view/ext_filesystem.h"

namespace imgfs {
namespace {

struct Close {
    void operator()(struct_ext2_filsys* handle) const {
        ext2fs_free(handle);  // as it is: nothing was changed
    }
};
using Handle = std::unique_ptr<struct_ext2_filsys, Close>;

void mark(std::vector<uint64_t>& words, uint64_t first, uint64_t end) {
    while (first < end) {
        const auto count = std::min<uint64_t>(64 - first % 64, end - first);
        words[first / 64] |= ~uint64_t{0} >> (64 - count) << (first % 64);
        first += count;
    }
}

/// Runs of blocks: where clusters are larger, the bitmap has a bit for each of these.
void mark_used(ext2_filsys fs, std::vector<uint64_t>& words) {
    const uint64_t end = ext2fs_blocks_count(fs->super);
    uint64_t next = fs->super->s_first_data_block;
    mark(words, 0, next);
    blk64_t first = 0;
    while (next < end &&
           ext2fs_find_first_set_block_bitmap2(fs->block_map, next, end - 1, &first) == 0) {
        blk64_t behind = 0;
        if (ext2fs_find_first_zero_block_bitmap2(fs->block_map, first, end - 1, &behind) != 0) {
            behind = end;
        }
        mark(words, first, behind);
        next = behind;
    }
}

const char* doubt_of(const ext2_super_block& super) {
    if ((super.s_feature_incompat & EXT3_FEATURE_INCOMPAT_RECOVER) != 0) {
        return "its journal has not been replayed";
    }
    if ((super.s_state & EXT2_ERROR_FS) != 0) {
        return "it is marked as having errors";
    }
    if ((super.s_state & EXT2_VALID_FS) == 0) {
        return "it was not unmounted";
    }
    return "";
}

/// Damage of the device is thrown; what libext2fs doesn't like is a doubt.
std::string doubt_of(errcode_t code) {
    if (code == 0) {
        return {};
    }
    if (const auto cause = take_device_error()) {
        std::rethrow_exception(cause);
    }
    return std::string("libext2fs: ") + ::error_message(code);
}

}  // namespace

ExtUsedBlocks ext_used_blocks(Device& device) {
    initialize_ext2_error_table();
    const RegisteredDevice registered(device);
    ext2_filsys opened = nullptr;
    ExtUsedBlocks used;
    used.doubt = doubt_of(ext2fs_open2(registered.name().c_str(), nullptr,
                                       EXT2_FLAG_64BITS | EXT2_FLAG_SKIP_MMP, 0, 0,
                                       device_io_manager(), &opened));
    if (!used.doubt.empty()) {
        return used;
    }
    const Handle fs(opened);
    used.block_size = fs->blocksize;
    used.block_count = ext2fs_blocks_count(fs->super);
    used.doubt = doubt_of(*fs->super);
    if (used.block_count > device.size() / used.block_size) {
        used.doubt = "it is larger than the partition";
    }
    if (used.doubt.empty()) {
        used.doubt = doubt_of(ext2fs_check_desc(fs.get()));
    }
    if (used.doubt.empty()) {
        used.doubt = doubt_of(ext2fs_read_block_bitmap(fs.get()));
    }
    if (used.doubt.empty()) {
        used.words.resize((used.block_count + 63) / 64);
        mark_used(fs.get(), used.words);
    }
    return used;
}

}  // namespace imgfs
