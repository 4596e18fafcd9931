// Partition: the plain bytes of one partition, out of any image format.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "fs/base/checksum.h"
#include "fs/base/progress.h"
#include "fs/source/source.h"
#include "fs/source/vouched.h"

namespace imgfs {

/// What `imgfs info` prints.
struct ImageInfo {
    std::string format;       ///< "partclone 0002", "partclone 0001" or "raw"
    std::string made_by;      ///< "partclone 0.3.23", "imgfs 0.1.0"; empty if unknown
    std::string file_system;  ///< as the image says ("EXTFS"); empty if it doesn't
    uint64_t device_size = 0;
    uint64_t block_size = 0;  ///< granularity of used and unused; 0 if the image has no blocks
    uint64_t total_blocks = 0;
    uint64_t used_blocks = 0;
    std::string checksum;  ///< "none", "CRC32", "XXH64", "XXH128"
    uint64_t blocks_per_checksum = 0;
    bool checksums_restart = true;  ///< false: running over all blocks, checkable in order only
    bool checked_alone = true;      ///< each can be checked before one of its blocks is given out
    /// False: each takes in one byte of its block (partclone 0001), so they tell next to nothing.
    bool checksums_cover_all = true;
};

/// One thing that `verify` found wrong; `line` names the place.
using DamageReport = std::function<void(const std::string& line)>;

/// A Source of device_size bytes; unused blocks read as zero.
class Partition : public Source {
  public:
    const ImageInfo& info() const { return info_; }

    /// Promise 9: what a delta is bound to. Device size, bitmap of used blocks and the first MiB of
    /// the plain bytes (superblock and group descriptors), so it survives copying, renaming and
    /// re-packing.
    Hash128 identity() const;

    /// Reads everything and checks every checksum there is; calls `report` for each damaged place
    /// and goes on where it can. Returns the number of checksums that were checked. An image that
    /// can't be read (EIO, a part missing) throws.
    virtual uint64_t verify(const DamageReport& report, const Progress& progress) const = 0;

    /// One bit a block, lowest bit first: is it in the image? Empty if all are, or if the format
    /// has no blocks.
    virtual ConstByteSpan bitmap() const = 0;

  protected:
    explicit Partition(ImageInfo info) : info_(std::move(info)) {}

  private:
    ImageInfo info_;
};

/// Whose blocks are given out only after a checksum of the format, if it is `checked_alone`; if it
/// isn't, only after the end of the indexing pass, and unchecked where the stream has no checksum.
enum class CheckStrips {
    where_needed,   ///< those that no checksum below vouches for
    always,         ///< all
    where_readable  ///< of a damaged image: all, but of one that is cut what is left unchecked
};

struct PartitionOptions {
    CheckStrips check_strips = CheckStrips::where_needed;
    Vouching vouching = {};  ///< of the stream; outlived by it. If there is none, nothing does
};

/// Recognises the format by content (rows of a constant table). What is known but not handled is
/// refused by name (ENOTSUP); what is damaged is EUCLEAN with the place; the header is hostile
/// input.
std::unique_ptr<Partition> open_partition(std::unique_ptr<Source> plain,
                                          const PartitionOptions& options = {});

}  // namespace imgfs
