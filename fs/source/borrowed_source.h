// BorrowedSource: a source that somebody else owns.
#pragma once

#include "fs/source/source.h"

namespace imgfs {

/// For several readers of one source, each of which wants to own what it reads.
class BorrowedSource final : public Source {
  public:
    /// `lent` must outlive it.
    explicit BorrowedSource(const Source& lent) : lent_(lent) {}

    uint64_t size() const override { return lent_.size(); }
    uint64_t bound() const override { return lent_.bound(); }
    void settle() const override { lent_.settle(); }
    std::string place(uint64_t offset) const override { return lent_.place(offset); }

  private:
    void read_inside(uint64_t offset, ByteSpan out) const override { lent_.read(offset, out); }

    const Source& lent_;
};

}  // namespace imgfs
