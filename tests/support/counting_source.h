// CountingSource: counts what is read of the source below it.
#pragma once

#include <atomic>
#include <memory>

#include "fs/source/source.h"

namespace imgfs {

class CountingSource final : public Source {
  public:
    CountingSource(std::unique_ptr<Source> below, std::atomic<uint64_t>& bytes)
        : below_(std::move(below)), bytes_(bytes) {}
    uint64_t size() const override { return below_->size(); }
    std::string place(uint64_t offset) const override { return below_->place(offset); }

  private:
    void read_inside(uint64_t offset, ByteSpan out) const override {
        bytes_ += out.size();
        below_->read(offset, out);
    }

    std::unique_ptr<Source> below_;
    std::atomic<uint64_t>& bytes_;
};

}  // namespace imgfs
