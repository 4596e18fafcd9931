// Which blocks an ext file system uses, as its own bitmaps say.
#pragma once

#include <string>
#include <vector>

#include "fs/store/device.h"

namespace imgfs {

struct ExtUsedBlocks {
    uint32_t block_size = 0;
    uint64_t block_count = 0;     ///< of the file system: the partition may be longer
    std::vector<uint64_t> words;  ///< one bit a block, lowest bit first; whole words
    std::string doubt;            ///< if not empty: why the bitmaps can't be relied upon; no words
};

/// `device` has an ext superblock. Used, too, are the blocks before the first group, and what a
/// group whose bitmap was never written keeps for itself. What can't be read is thrown.
ExtUsedBlocks ext_used_blocks(Device& device);

}  // namespace imgfs
