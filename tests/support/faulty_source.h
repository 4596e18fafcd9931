// FaultySource: bytes in memory, some of which can't be read.
#pragma once

#include "fs/base/error.h"
#include "tests/support/memory_source.h"

namespace imgfs {

struct Fault {
    uint64_t start = 0;
    uint64_t length = 0;
    int code = 0;
};

class FaultySource final : public Source {
  public:
    FaultySource(Bytes content, Fault fault) : below_(std::move(content)), fault_(fault) {}
    uint64_t size() const override { return below_.size(); }
    std::string place(uint64_t offset) const override { return below_.place(offset); }

  private:
    void read_inside(uint64_t offset, ByteSpan out) const override {
        if (offset < fault_.start + fault_.length && fault_.start < offset + out.size()) {
            fail(fault_.code, "fault planted at byte " + std::to_string(fault_.start));
        }
        below_.read(offset, out);
    }

    MemorySource below_;
    Fault fault_;
};

}  // namespace imgfs
