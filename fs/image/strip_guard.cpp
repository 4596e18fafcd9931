#include "fs/image/strip_guard.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include "fs/base/error.h"
#include "fs/base/text.h"
#include "fs/source/cut_short.h"

namespace imgfs {
namespace {

// One that is longer would keep each first read in it waiting for too long. Clonezilla's have 10
// MiB.
constexpr uint64_t kLongestStrip = 64 * kMiB;
constexpr uint64_t kReadSize = kMiB;

}  // namespace

StripGuard::StripGuard(const Source& plain, const PartcloneLayout& layout, PartitionOptions options)
    : plain_(plain),
      layout_(layout),
      when_(options.check_strips),
      vouching_(std::move(options.vouching)) {}

Vouched StripGuard::vouched(uint64_t begin, uint64_t end) const {
    return vouching_ ? vouching_(begin, end) : Vouched::no;
}

bool StripGuard::can_check(const PartcloneHeader& header) {
    return header.checksums_restart &&
           header.blocks_per_checksum <= kLongestStrip / header.block_size;
}

void StripGuard::check(uint64_t first, uint64_t end) const {
    const auto& header = layout_.header;
    const bool tells_damage = header.checksum_mode != ChecksumMode::none &&
                              header.checksum_mode != ChecksumMode::crc32_of_first_bytes;
    if (!tells_damage) {
        return;
    }
    const auto known =
        vouched(layout_.block_offset(first), layout_.block_offset(end - 1) + header.block_size);
    if (when_ == CheckStrips::where_needed && known == Vouched::yes) {
        return;
    }
    if (!can_check(header)) {
        if (when_ != CheckStrips::where_readable && known == Vouched::not_yet) {
            plain_.settle();
        }
        return;
    }
    const uint64_t length = header.blocks_per_checksum;
    for (auto strip = first / length; strip <= (end - 1) / length; ++strip) {
        if (!is_good(strip)) {
            check_strip(strip);
        }
    }
}

bool StripGuard::is_good(uint64_t strip) const {
    const std::lock_guard lock(mutex_);
    const auto found = good_.find(strip / kStripsTogether);
    return found != good_.end() && found->second[strip % kStripsTogether];
}

void StripGuard::check_strip(uint64_t strip) const {
    const uint64_t length = layout_.header.blocks_per_checksum;
    const auto rank = strip * length;
    const auto blocks = std::min(length, layout_.used.used_count() - rank);
    if (!matches(rank, blocks)) {
        fail(EUCLEAN, plain_.place(layout_.block_offset(rank)) + ": the checksum of strip " +
                          format_count(strip) + " is wrong (blocks " +
                          format_count(layout_.used.select(rank)) + " to " +
                          format_count(layout_.used.select(rank + blocks - 1)) +
                          " of the partition); the image is damaged");
    }
    const std::lock_guard lock(mutex_);
    good_[strip / kStripsTogether].set(strip % kStripsTogether);
}

bool StripGuard::matches(uint64_t first_rank, uint64_t blocks) const {
    const auto& header = layout_.header;
    auto at = layout_.block_offset(first_rank);
    const auto end = at + blocks * header.block_size;
    StripChecksum checksum(header.checksum_mode, header.block_size);
    checksum.restart();
    std::array<std::byte, sizeof(Hash128)> stored{};
    try {
        Bytes piece;
        for (; at < end; at += piece.size()) {
            piece.resize(std::min(kReadSize, end - at));
            plain_.read(at, piece);
            checksum.update(piece);
        }
        plain_.read(end, ByteSpan(stored).first(header.checksum_size));
    } catch (const CutShort&) {
        if (when_ != CheckStrips::where_readable) {
            throw;
        }
        return true;  // a read of what is missing says so itself
    }
    return checksum.matches(stored);
}

}  // namespace imgfs
