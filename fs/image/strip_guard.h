// StripGuard: blocks are given out only after their strip's checksum, as long as nothing else
// vouches for them.
#pragma once

#include <atomic>
#include <vector>

#include "fs/image/partclone_layout.h"
#include "fs/image/partition.h"

namespace imgfs {

/// Safe from any thread.
class StripGuard {
  public:
    /// Of a stream and its layout, which must outlive it.
    StripGuard(const Source& plain, const PartcloneLayout& layout, CheckStrips when);

    /// Returns if the used blocks with ranks [first, end), at least one, may be given out. EUCLEAN,
    /// naming the strip, if its checksum is wrong. A strip that can't be checked by itself waits
    /// for the end of the indexing pass.
    void check(uint64_t first, uint64_t end) const;

  private:
    bool is_settled() const;
    bool can_check() const;
    void check_strip(uint64_t strip) const;

    const Source& plain_;
    const PartcloneLayout& layout_;
    const CheckStrips when_;
    mutable std::atomic<bool> settled_ = false;
    mutable std::vector<std::atomic<uint64_t>> good_;  // a bit a strip
};

}  // namespace imgfs
