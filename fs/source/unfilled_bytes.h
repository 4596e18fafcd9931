// UnfilledBytes: memory that nobody has filled yet.
#pragma once

#include <memory>

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

}  // namespace imgfs
