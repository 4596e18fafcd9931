// StripGuard: blocks are given out only after their strip's checksum, where nothing else vouches
// for them.
#pragma once

#include <bitset>
#include <mutex>
#include <unordered_map>

#include "fs/image/partclone_layout.h"
#include "fs/image/partition.h"

namespace imgfs {

/// Safe from any thread.
class StripGuard {
  public:
    /// Of a stream and its layout, which must outlive it.
    StripGuard(const Source& plain, const PartcloneLayout& layout, PartitionOptions options);

    /// Can each strip be checked by itself? Not if the checksums run over all blocks, nor if it
    /// would keep the first read in it waiting for too long.
    static bool can_check(const PartcloneHeader& header);

    /// Returns if the used blocks with ranks [first, end), at least one, may be given out. EUCLEAN,
    /// naming the strip, if its checksum is wrong. A strip that can't be checked by itself waits
    /// for the end of the indexing pass.
    void check(uint64_t first, uint64_t end) const;

  private:
    Vouched vouched(uint64_t begin, uint64_t end) const;
    bool is_good(uint64_t strip) const;
    void check_strip(uint64_t strip) const;
    bool matches(uint64_t first_rank, uint64_t blocks) const;

    const Source& plain_;
    const PartcloneLayout& layout_;
    const CheckStrips when_;
    const Vouching vouching_;
    mutable std::mutex mutex_;
    // By number / kStripsTogether: of those that were checked, for the header may promise any
    // number.
    static constexpr uint64_t kStripsTogether = 4096;
    mutable std::unordered_map<uint64_t, std::bitset<kStripsTogether>> good_;
};

}  // namespace imgfs
