#include "fs/view/block_run.h"

#include <algorithm>

namespace imgfs {

BlockRun part_of(const BlockRun& run, const BlockRange& range) {
    const uint64_t first = std::max(run.logical, range.first);
    const uint64_t end = std::min(run.end(), range.end());
    if (first >= end) {
        return {};
    }
    return {.logical = first,
            .physical = run.physical == 0 ? 0 : run.physical + (first - run.logical),
            .count = end - first,
            .unwritten = run.unwritten};
}

}  // namespace imgfs
