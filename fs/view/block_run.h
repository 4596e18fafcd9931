// BlockRun: some blocks of a file that lie side by side in the file system.
#pragma once

#include <cstdint>

namespace imgfs {

/// Blocks of the file system's block size.
struct BlockRun {
    uint64_t logical = 0;
    uint64_t physical = 0;  ///< 0: a hole
    uint64_t count = 0;
    bool unwritten = false;  ///< allocated, reads as zero

    uint64_t end() const { return logical + count; }
    bool operator==(const BlockRun&) const = default;
};

/// Blocks of a file.
struct BlockRange {
    uint64_t first = 0;
    uint64_t count = 0;

    uint64_t end() const { return first + count; }
};

/// The part of a run that lies in the range; its count is 0 if there is none.
BlockRun part_of(const BlockRun& run, const BlockRange& range);

}  // namespace imgfs
