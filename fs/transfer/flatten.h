// Flatten: an ordinary image of what a partition holds now.
#pragma once

#include <filesystem>
#include <vector>

#include "fs/base/progress.h"
#include "fs/image/strip_checksum.h"
#include "fs/source/packing.h"
#include "fs/transfer/kept_blocks.h"

namespace imgfs {

struct FlattenOptions {
    const Packing& packing;
    int level = 0;
    ChecksumMode checksum = ChecksumMode::crc32;
    uint64_t part_size = 0;  ///< bytes; 0: one file
};

struct FlattenResult {
    std::vector<std::filesystem::path> files;
    uint64_t packed_size = 0;  ///< bytes of all of them
    uint64_t plain_size = 0;   ///< of the blocks that it holds
};

/// Writes a partclone image, packed in small pieces, under another name beside `path`, and renames
/// it when it is complete and durable; what had that name is gone then. Progress is in bytes of
/// blocks.
FlattenResult flatten(const Source& device, const KeptBlocks& kept,
                      const std::filesystem::path& path, const FlattenOptions& options,
                      const Progress& progress);

}  // namespace imgfs
