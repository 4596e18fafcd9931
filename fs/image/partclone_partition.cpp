#include "fs/image/partclone_partition.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "fs/base/text.h"
#include "fs/image/partclone_verify.h"

namespace imgfs {
namespace {

constexpr uint64_t kGatherSize = 256 * kKiB;
constexpr uint64_t kSectorSize = 512;

/// Bytes that stand together both in the stream and in what the caller wants.
struct Piece {
    uint64_t offset;  // in the stream
    ByteSpan out;
};

/// Collects pieces that lie near each other in the stream, so that one read fetches them all.
class Gather {
  public:
    explicit Gather(const Source& plain) : plain_(plain) {}

    void add(Piece piece) {
        if (!pieces_.empty() &&
            piece.offset + piece.out.size() - pieces_.front().offset > kGatherSize) {
            flush();
        }
        pieces_.push_back(piece);
    }

    void flush() {
        if (pieces_.size() == 1) {
            plain_.read(pieces_[0].offset, pieces_[0].out);
        } else if (!pieces_.empty()) {
            const uint64_t start = pieces_.front().offset;
            Bytes together(pieces_.back().offset + pieces_.back().out.size() - start);
            plain_.read(start, together);
            for (const auto& piece : pieces_) {
                std::ranges::copy(
                    ConstByteSpan(together).subspan(piece.offset - start, piece.out.size()),
                    piece.out.begin());
            }
        }
        pieces_.clear();
    }

  private:
    const Source& plain_;
    std::vector<Piece> pieces_;
};

std::string name_of(ChecksumMode mode) {
    switch (mode) {
        case ChecksumMode::none:
            return "none";
        case ChecksumMode::crc32:
        case ChecksumMode::crc32_of_first_bytes:
            return "CRC32";
        case ChecksumMode::xxh64:
            return "XXH64";
        case ChecksumMode::xxh128:
            return "XXH128";
    }
    return {};
}

/// imgfs writes its name there, partclone its version only.
std::string maker_of(const PartcloneHeader& header) {
    return header.made_by.empty() || header.made_by.starts_with("imgfs")
               ? header.made_by
               : "partclone " + header.made_by;
}

ImageInfo info_of(const PartcloneLayout& layout) {
    const auto& header = layout.header;
    return {.format = "partclone " + header.version,
            .made_by = maker_of(header),
            .file_system = header.file_system,
            .device_size = header.device_size,
            .block_size = header.block_size,
            .total_blocks = header.total_blocks,
            .used_blocks = layout.used.used_count(),
            .checksum = name_of(header.checksum_mode),
            .blocks_per_checksum = header.blocks_per_checksum,
            .checksums_restart = header.checksums_restart,
            .checked_alone = StripGuard::can_check(header),
            .checksums_cover_all = header.checksum_mode != ChecksumMode::crc32_of_first_bytes};
}

}  // namespace

PartclonePartition::PartclonePartition(std::unique_ptr<Source> plain, PartcloneLayout layout,
                                       const PartitionOptions& options)
    : Partition(info_of(layout)),
      plain_(std::move(plain), layout.stream_end(),
             options.vouching ? TooShort::is_damaged : TooShort::is_cut),
      layout_(std::move(layout)),
      guard_(plain_, layout_, options) {}

std::string PartclonePartition::place(uint64_t offset) const {
    if (offset >= blocks_end()) {
        return plain_.place(layout_.stream_end() - 1) + ", past the last block";
    }
    const uint64_t block = offset / layout_.header.block_size;
    const auto name = format_count(block);
    const uint64_t stream_offset = layout_.block_offset(layout_.used.rank(block));
    if (!layout_.used.is_used(block)) {
        return plain_.place(std::min(stream_offset, layout_.stream_end() - 1)) +
               ", before the unused block " + name;
    }
    return plain_.place(stream_offset + offset % layout_.header.block_size) + ", block " + name;
}

void PartclonePartition::read_inside(uint64_t offset, ByteSpan out) const {
    if (offset < blocks_end()) {
        const auto inside = out.first(std::min<uint64_t>(out.size(), blocks_end() - offset));
        read_blocks(offset, inside);
        offset += inside.size();
        out = out.subspan(inside.size());
    }
    if (!out.empty()) {
        fill_tail(offset, out);
    }
}

void PartclonePartition::read_blocks(uint64_t offset, ByteSpan out) const {
    const uint64_t block_size = layout_.header.block_size;
    const uint64_t end = (offset + out.size() + block_size - 1) / block_size;
    uint64_t block = offset / block_size;
    uint64_t rank = layout_.used.rank(block);
    if (const auto behind = layout_.used.rank(end); behind > rank) {
        guard_.check(rank, behind);
    }
    Gather gather(plain_);
    while (!out.empty()) {
        const bool used = layout_.used.is_used(block);
        uint64_t count = layout_.used.run_end(block, end) - block;
        if (const uint64_t strip = layout_.header.blocks_per_checksum; used && strip != 0) {
            count = std::min(count, strip - rank % strip);  // a checksum stands after the strip
        }
        const uint64_t skip = offset % block_size;  // not 0 in the first block only
        const auto run = out.first(std::min<uint64_t>(out.size(), count * block_size - skip));
        if (used) {
            gather.add({layout_.block_offset(rank) + skip, run});
            rank += count;
        } else {
            std::memset(run.data(), 0, run.size());
        }
        block += count;
        offset += run.size();
        out = out.subspan(run.size());
    }
    gather.flush();
}

/// NTFS keeps a copy of its boot sector in the last sector of the device, which is in no cluster
/// and so not in the image; without it, it can't be mounted.
void PartclonePartition::fill_tail(uint64_t offset, ByteSpan out) const {
    std::memset(out.data(), 0, out.size());
    if (layout_.header.file_system != "NTFS" || size() - blocks_end() < kSectorSize ||
        blocks_end() < kSectorSize) {
        return;
    }
    const uint64_t start = std::max(offset, size() - kSectorSize);
    if (start < offset + out.size()) {
        read_blocks(start - (size() - kSectorSize), out.subspan(start - offset));
    }
}

uint64_t PartclonePartition::verify(const DamageReport& report, const Progress& progress) const {
    const auto checked = verify_partclone(plain_, layout_, report, progress);
    report_excess(report);
    return checked;
}

void PartclonePartition::report_excess(const DamageReport& report) const {
    uint64_t excess = 0;
    try {
        excess = plain_.excess();
    } catch (const std::system_error& error) {
        if (error.code().value() != EUCLEAN) {
            throw;
        }
        return;  // of damage before its end, which reads have met
    }
    if (excess > layout_.most_behind_end()) {
        report(plain_.place(layout_.stream_end()) + ": " + format_count(excess) +
               " bytes stand behind the end that the image's header promises");
    }
}

std::unique_ptr<Partition> open_partclone(std::unique_ptr<Source> plain,
                                          const PartitionOptions& options) {
    auto layout = read_partclone_layout(*plain, options.check_strips);
    return std::make_unique<PartclonePartition>(std::move(plain), std::move(layout), options);
}

}  // namespace imgfs
