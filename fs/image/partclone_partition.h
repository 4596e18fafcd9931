// PartclonePartition: random access into a partclone image.
#pragma once

#include "fs/image/partclone_layout.h"
#include "fs/image/partition.h"
#include "fs/image/promised_source.h"
#include "fs/image/strip_guard.h"

namespace imgfs {

class PartclonePartition final : public Partition {
  public:
    /// `layout` is that of `plain`.
    PartclonePartition(std::unique_ptr<Source> plain, PartcloneLayout layout,
                       const PartitionOptions& options);

    uint64_t size() const override { return layout_.header.device_size; }
    void settle() const override { plain_.settle(); }
    std::string place(uint64_t offset) const override;
    uint64_t verify(const DamageReport& report, const Progress& progress) const override;

  private:
    void read_inside(uint64_t offset, ByteSpan out) const override;
    void read_blocks(uint64_t offset, ByteSpan out) const;
    void fill_tail(uint64_t offset, ByteSpan out) const;
    void report_excess(const DamageReport& report) const;
    uint64_t blocks_end() const { return layout_.header.total_blocks * layout_.header.block_size; }
    ConstByteSpan bitmap() const override { return layout_.used.bytes(); }

    PromisedSource plain_;
    PartcloneLayout layout_;
    StripGuard guard_;
};

/// Opens a stream that begins as partclone images do.
std::unique_ptr<Partition> open_partclone(std::unique_ptr<Source> plain,
                                          const PartitionOptions& options);

}  // namespace imgfs
