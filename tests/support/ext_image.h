// ext2, ext3 and ext4 partitions in memory, made and checked by the real tools.
#pragma once

#include <string>

#include "fs/base/bytes.h"

namespace imgfs {

struct ExtImage {
    std::string options;  ///< of mke2fs: "-t ext4 -b 1024"
    uint64_t size = 16 * kMiB;
    std::string tree;  ///< a directory whose content goes in
};

Bytes make_ext_image(const ExtImage& image);

/// A test failure, with what e2fsck says, unless `e2fsck -fn` finds nothing wrong.
void expect_e2fsck_clean(ConstByteSpan partition);

/// What debugfs prints for `request` on the partition.
std::string debugfs(ConstByteSpan partition, const std::string& request);

}  // namespace imgfs
