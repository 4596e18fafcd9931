// RegionFilter: tells quickly of most blocks that they are not in a set.
#pragma once

#include <cstdint>
#include <vector>

namespace imgfs {

/// The device in regions of a power of two of blocks, a bit each: as fine as `entries` and 256 KiB
/// of memory allow. const methods are safe to call at once.
class RegionFilter {
  public:
    RegionFilter() = default;
    RegionFilter(uint64_t device_blocks, uint64_t entries);

    /// Blocks [first, end) of the device, at least one.
    void add(uint64_t first, uint64_t end);

    /// False: none of [first, end) was added.
    bool may_have(uint64_t first, uint64_t end) const;

  private:
    unsigned shift_ = 0;  // blocks a region: 1 << shift_
    std::vector<bool> touched_;
};

}  // namespace imgfs
