// RawPartition: an image that is the partition's bytes themselves (dd, partclone.dd).
#pragma once

#include "fs/image/partition.h"

namespace imgfs {

/// Does anything in it say what it is: a boot sector or partition table, a file system, swap, LVM,
/// LUKS? (The magic numbers that blkid knows them by.)
bool says_what_it_is(const Source& partition);

class RawPartition final : public Partition {
  public:
    explicit RawPartition(std::unique_ptr<Source> plain);

    uint64_t size() const override { return plain_->size(); }
    void settle() const override { plain_->settle(); }
    std::string place(uint64_t offset) const override { return plain_->place(offset); }
    /// There are no checksums; what can't be decoded is reported.
    uint64_t verify(const DamageReport& report, const Progress& progress) const override;

  private:
    void read_inside(uint64_t offset, ByteSpan out) const override { plain_->read(offset, out); }
    ConstByteSpan bitmap() const override { return {}; }

    std::unique_ptr<Source> plain_;
};

}  // namespace imgfs
