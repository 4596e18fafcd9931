#include "fs/view/ext_inode.h"

#include <sys/sysmacros.h>
#include <time.h>

#include <algorithm>

#include "fs/view/ext_time.h"

namespace imgfs {
namespace {

uint64_t device_of(const ext2_inode_large& inode) {
    if (!LINUX_S_ISCHR(inode.i_mode) && !LINUX_S_ISBLK(inode.i_mode)) {
        return 0;
    }
    const uint32_t old = inode.i_block[0];
    const uint32_t now = inode.i_block[1];
    return old != 0 ? makedev((old >> 8) & 0xff, old & 0xff)
                    : makedev((now >> 8) & 0xfff, (now & 0xff) | ((now >> 12) & 0xfff00));
}

}  // namespace

Attributes attributes_of(ExtFilesystem& fs, ext2_ino_t number, const ext2_inode_large& inode) {
    auto copy = inode;
    return {
        .inode = number,
        .generation = inode.i_generation,
        .mode = inode.i_mode,
        .links = inode.i_links_count,
        .uid = uid_of(inode),
        .gid = gid_of(inode),
        .device = device_of(inode),
        .size = size_of(inode),
        .sectors = ext2fs_get_stat_i_blocks(fs.handle(), plain(copy)),
        .accessed = imgfs::accessed(inode),
        .modified = imgfs::modified(inode),
        .changed = imgfs::changed(inode),
    };
}

uint64_t size_of(const ext2_inode_large& inode) {
    return EXT2_I_SIZE(&inode);
}

uint32_t uid_of(const ext2_inode_large& inode) {
    return inode_uid(inode);
}

uint32_t gid_of(const ext2_inode_large& inode) {
    return inode_gid(inode);
}

void set_uid(ext2_inode_large& inode, uint32_t uid) {
    inode.i_uid = static_cast<uint16_t>(uid);
    ext2fs_set_i_uid_high(inode, static_cast<uint16_t>(uid >> 16));
}

void set_gid(ext2_inode_large& inode, uint32_t gid) {
    inode.i_gid = static_cast<uint16_t>(gid);
    ext2fs_set_i_gid_high(inode, static_cast<uint16_t>(gid >> 16));
}

timespec time_now() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    return now;
}

void set_device(ext2_inode_large& inode, uint64_t device) {
    const uint32_t high = major(device);
    const uint32_t low = minor(device);
    std::ranges::fill(inode.i_block, 0U);
    if (high < 256 && low < 256) {
        inode.i_block[0] = high << 8 | low;
    } else {
        inode.i_block[1] = (low & 0xff) | high << 8 | (low & ~0xffU) << 12;
    }
}

bool has_target_inside(const ext2_inode_large& inode) {
    return LINUX_S_ISLNK(inode.i_mode) && size_of(inode) < sizeof inode.i_block &&
           (inode.i_flags & EXT4_EXTENTS_FL) == 0;
}

bool has_block_map(const ext2_inode_large& inode) {
    return LINUX_S_ISREG(inode.i_mode) || LINUX_S_ISDIR(inode.i_mode) ||
           (LINUX_S_ISLNK(inode.i_mode) && !has_target_inside(inode));
}

Bytes read_raw_inode(ExtFilesystem& fs, ext2_ino_t number) {
    Bytes raw(EXT2_INODE_SIZE(fs.handle()->super));
    fs.read_inode(number, raw);
    return raw;
}

void write_raw_inode(ExtFilesystem& fs, ext2_ino_t number, Bytes& raw) {
    ExtFilesystem::check(
        ext2fs_write_inode_full(fs.handle(), number, reinterpret_cast<ext2_inode*>(raw.data()),
                                static_cast<int>(raw.size())),
        "inode " + std::to_string(number));
}

}  // namespace imgfs
