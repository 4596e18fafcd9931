// SplitSource: parts joined end to end, as `split` cut them.
#pragma once

#include <memory>
#include <vector>

#include "fs/source/source.h"

namespace imgfs {

class SplitSource final : public Source {
  public:
    /// In order; at least one. Empty parts are allowed.
    explicit SplitSource(std::vector<std::unique_ptr<Source>> parts);

    uint64_t size() const override { return starts_.back(); }
    std::string place(uint64_t offset) const override;

  private:
    void read_inside(uint64_t offset, ByteSpan out) const override;

    std::vector<std::unique_ptr<Source>> parts_;
    std::vector<uint64_t> starts_;  // of each part, then the end
};

}  // namespace imgfs
