// UnfilledBytes: memory that nobody has filled yet. SpareBytes: such memory, used again.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <vector>

#include "fs/base/bytes.h"

namespace imgfs {

/// Bytes that hold anything, and pages that nobody has touched take no memory. Large ones are of
/// huge pages where the kernel has them: touching small ones first takes longer than decoding lz4
/// into them.
class UnfilledBytes {
  public:
    UnfilledBytes() = default;
    explicit UnfilledBytes(uint64_t size);

    uint64_t size() const { return size_; }
    ByteSpan first(uint64_t length) const { return {bytes_.get(), length}; }

  private:
    struct Free {
        void operator()(std::byte* bytes) const { std::free(bytes); }
    };
    std::unique_ptr<std::byte, Free> bytes_;
    uint64_t size_ = 0;
};

/// Memory that is no longer used, for the next. Safe from any thread.
class SpareBytes {
  public:
    /// Of `size` bytes or a little more; those that don't fit go.
    UnfilledBytes take(uint64_t size);
    void give_back(UnfilledBytes memory);

  private:
    std::mutex mutex_;
    std::vector<UnfilledBytes> spares_;
};

}  // namespace imgfs
