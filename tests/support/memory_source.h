// Sources and bytes in memory for tests.
#pragma once

#include "fs/source/source.h"

namespace imgfs {

class MemorySource final : public Source {
  public:
    explicit MemorySource(Bytes content) : content_(std::move(content)) {}
    uint64_t size() const override { return content_.size(); }
    std::string place(uint64_t offset) const override {
        return "memory: byte " + std::to_string(offset);
    }

  private:
    void read_inside(uint64_t offset, ByteSpan out) const override;
    Bytes content_;
};

Bytes to_bytes(std::string_view text);

/// `count` bytes that look random and are the same for the same seed.
Bytes noise(size_t count, uint64_t seed);

Bytes read_all(const Source& source);

}  // namespace imgfs
