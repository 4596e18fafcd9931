#include "fs/view/ext_time.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace imgfs {
namespace {

// The extra field: 2 bits that extend the seconds, then 30 bits of nanoseconds.
constexpr int64_t kEarliest = INT32_MIN;
constexpr int64_t kLatestShort = INT32_MAX;
constexpr int64_t kLatest = INT32_MIN + (int64_t{1} << 34) - 1;

bool has_extra(const ext2_inode_large& inode, size_t field) {
    return EXT2_GOOD_OLD_INODE_SIZE + size_t{inode.i_extra_isize} >= field + sizeof(uint32_t);
}

timespec time_of(uint32_t seconds, uint32_t extra) {
    return {.tv_sec = static_cast<int32_t>(seconds) + (static_cast<int64_t>(extra & 3) << 32),
            .tv_nsec = std::min<long>(extra >> 2, 999'999'999)};
}

struct Packed {
    uint32_t seconds;
    uint32_t extra;
};

Packed pack(const timespec& time, bool extra) {
    const int64_t seconds =
        std::clamp<int64_t>(time.tv_sec, kEarliest, extra ? kLatest : kLatestShort);
    const auto low = static_cast<uint32_t>(seconds);
    const auto epoch =
        static_cast<uint32_t>((seconds - static_cast<int32_t>(low)) >> 32) & uint32_t{3};
    return {low, epoch | static_cast<uint32_t>(time.tv_nsec) << 2};
}

}  // namespace

timespec accessed(const ext2_inode_large& inode) {
    const bool extra = has_extra(inode, offsetof(ext2_inode_large, i_atime_extra));
    return time_of(inode.i_atime, extra ? inode.i_atime_extra : 0);
}

timespec modified(const ext2_inode_large& inode) {
    const bool extra = has_extra(inode, offsetof(ext2_inode_large, i_mtime_extra));
    return time_of(inode.i_mtime, extra ? inode.i_mtime_extra : 0);
}

timespec changed(const ext2_inode_large& inode) {
    const bool extra = has_extra(inode, offsetof(ext2_inode_large, i_ctime_extra));
    return time_of(inode.i_ctime, extra ? inode.i_ctime_extra : 0);
}

void set_accessed(ext2_inode_large& inode, const timespec& time) {
    const bool extra = has_extra(inode, offsetof(ext2_inode_large, i_atime_extra));
    const Packed packed = pack(time, extra);
    inode.i_atime = packed.seconds;
    inode.i_atime_extra = extra ? packed.extra : inode.i_atime_extra;
}

void set_modified(ext2_inode_large& inode, const timespec& time) {
    const bool extra = has_extra(inode, offsetof(ext2_inode_large, i_mtime_extra));
    const Packed packed = pack(time, extra);
    inode.i_mtime = packed.seconds;
    inode.i_mtime_extra = extra ? packed.extra : inode.i_mtime_extra;
}

void set_changed(ext2_inode_large& inode, const timespec& time) {
    const bool extra = has_extra(inode, offsetof(ext2_inode_large, i_ctime_extra));
    const Packed packed = pack(time, extra);
    inode.i_ctime = packed.seconds;
    inode.i_ctime_extra = extra ? packed.extra : inode.i_ctime_extra;
}

void set_created(ext2_inode_large& inode, const timespec& time) {
    if (has_extra(inode, offsetof(ext2_inode_large, i_crtime_extra))) {
        const Packed packed = pack(time, true);
        inode.i_crtime = packed.seconds;
        inode.i_crtime_extra = packed.extra;
    }
}

}  // namespace imgfs
