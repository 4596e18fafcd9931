// CountingSource: counts what is read of the source below it.
#pragma once

#include <atomic>
#include <memory>

#include "fs/source/source.h"

namespace imgfs {

class CountingSource final : public Source {
  public:
    /// The counters must outlive it.
    CountingSource(std::unique_ptr<Source> below, std::atomic<uint64_t>& bytes,
                   std::atomic<uint64_t>* reads = nullptr)
        : below_(std::move(below)), bytes_(bytes), reads_(reads) {}
    uint64_t size() const override { return below_->size(); }
    std::string place(uint64_t offset) const override { return below_->place(offset); }

  private:
    void read_inside(uint64_t offset, ByteSpan out) const override {
        bytes_ += out.size();
        if (reads_ != nullptr) {
            ++*reads_;
        }
        below_->read(offset, out);
    }

    std::unique_ptr<Source> below_;
    std::atomic<uint64_t>& bytes_;
    std::atomic<uint64_t>* reads_;
};

}  // namespace imgfs
