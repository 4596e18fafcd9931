#include "fs/store/region_filter.h"

#include <algorithm>
#include <cstddef>

namespace imgfs {
namespace {

constexpr uint64_t kMostRegions = 1 << 21;
constexpr uint64_t kRegionsForEntry = 32;  // so that about one look in 32 is in vain

}  // namespace

RegionFilter::RegionFilter(uint64_t device_blocks, uint64_t entries) {
    const auto most = std::min(kMostRegions, entries * kRegionsForEntry);
    while ((device_blocks >> shift_) > most) {
        ++shift_;
    }
    touched_.resize((device_blocks >> shift_) + 1);
}

void RegionFilter::add(uint64_t first, uint64_t end) {
    std::fill(touched_.begin() + static_cast<std::ptrdiff_t>(first >> shift_),
              touched_.begin() + static_cast<std::ptrdiff_t>((end - 1) >> shift_) + 1, true);
}

bool RegionFilter::may_have(uint64_t first, uint64_t end) const {
    const auto regions = static_cast<uint64_t>(touched_.size());
    const auto begin = std::min(first >> shift_, regions);
    const auto stop = std::max(begin, std::min(((end - 1) >> shift_) + 1, regions));
    const auto behind = touched_.begin() + static_cast<std::ptrdiff_t>(stop);
    return std::find(touched_.begin() + static_cast<std::ptrdiff_t>(begin), behind, true) != behind;
}

}  // namespace imgfs
