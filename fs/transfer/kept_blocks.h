// Which blocks of a partition a new image must hold, and their bytes one behind the other.
#pragma once

#include <string>

#include "fs/image/block_bitmap.h"
#include "fs/image/partition.h"
#include "fs/store/delta_store.h"
#include "fs/store/device.h"

namespace imgfs {

struct KeptBlocks {
    std::string file_system;  ///< as partclone names it
    uint64_t device_size = 0;
    uint32_t block_size = 0;
    BlockBitmap used;
    std::string note;  ///< what a person should know of it; may be empty
};

/// The image that lies below `device`, and what was changed since.
struct Content {
    Device& device;
    const DeltaStore& changes;
    const ImageInfo& info;
    ConstByteSpan bitmap;  ///< as Partition::bitmap()
};

/// Those that an ext file system uses; where its bitmaps can't be relied upon, and of other file
/// systems, those that the image has and those that were changed. ENOTSUP if something was changed
/// that partclone keeps in no block.
KeptBlocks kept_blocks(const Content& content);

/// The used blocks of a device, one behind the other.
class UsedBlocks final : public Source {
  public:
    /// Both must outlive it; the blocks lie inside the device.
    UsedBlocks(const Source& device, const KeptBlocks& kept) : device_(device), kept_(kept) {}

    uint64_t size() const override { return kept_.used.used_count() * kept_.block_size; }
    std::string place(uint64_t offset) const override;

  private:
    void read_inside(uint64_t offset, ByteSpan out) const override;

    const Source& device_;
    const KeptBlocks& kept_;
};

}  // namespace imgfs
