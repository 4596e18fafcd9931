// UnfilledBytes: memory that nobody has filled yet. SpareBytes: such memory, used again.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "fs/base/bytes.h"

namespace imgfs {

/// Bytes that hold anything, and pages that nobody has touched take no memory.
class UnfilledBytes {
  public:
    UnfilledBytes() = default;
    explicit UnfilledBytes(uint64_t size)
        : bytes_(std::make_unique_for_overwrite<std::byte[]>(size)), size_(size) {}

    uint64_t size() const { return size_; }
    ByteSpan first(uint64_t length) const { return {bytes_.get(), length}; }

  private:
    std::unique_ptr<std::byte[]> bytes_;
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
