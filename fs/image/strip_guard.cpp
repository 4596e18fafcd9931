#include "fs/image/strip_guard.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include "fs/base/error.h"
#include "fs/base/not_yet.h"
#include "fs/base/text.h"

namespace imgfs {
namespace {

// One that is longer would keep each first read in it waiting for too long. Clonezilla's have 10
// MiB.
constexpr uint64_t kLongestStrip = 64 * kMiB;
constexpr uint64_t kReadSize = kMiB;

}  // namespace

StripGuard::StripGuard(const Source& plain, const PartcloneLayout& layout, CheckStrips when)
    : plain_(plain), layout_(layout), when_(when) {
    if (when_ == CheckStrips::always || !is_settled()) {
        good_ = std::vector<std::atomic<uint64_t>>(layout.strip_count() / 64 + 1);
    }
}

bool StripGuard::is_settled() const {
    if (!settled_) {
        try {
            const NoWaiting no_waiting;
            plain_.settle();
            settled_ = true;
        } catch (const std::exception&) {
            // Not yet, or the pass met damage somewhere: it vouches for nothing.
        }
    }
    return settled_;
}

bool StripGuard::can_check() const {
    const auto& header = layout_.header;
    return header.checksums_restart &&
           header.blocks_per_checksum <= kLongestStrip / header.block_size;
}

void StripGuard::check(uint64_t first, uint64_t end) const {
    const auto& header = layout_.header;
    const bool tells_damage = header.checksum_mode != ChecksumMode::none &&
                              header.checksum_mode != ChecksumMode::crc32_of_first_bytes;
    if (!tells_damage || (when_ == CheckStrips::until_settled && is_settled())) {
        return;
    }
    if (!can_check()) {
        if (when_ == CheckStrips::until_settled) {
            plain_.settle();
        }
        return;
    }
    const uint64_t length = header.blocks_per_checksum;
    for (auto strip = first / length; strip <= (end - 1) / length; ++strip) {
        const auto bit = uint64_t{1} << strip % 64;
        if ((good_[strip / 64] & bit) == 0) {
            check_strip(strip);
            good_[strip / 64] |= bit;
        }
    }
}

void StripGuard::check_strip(uint64_t strip) const {
    const auto& header = layout_.header;
    const uint64_t rank = strip * header.blocks_per_checksum;
    const auto blocks =
        std::min<uint64_t>(header.blocks_per_checksum, layout_.used.used_count() - rank);
    auto at = layout_.block_offset(rank);
    const auto end = at + blocks * header.block_size;
    StripChecksum checksum(header.checksum_mode, header.block_size);
    checksum.restart();
    Bytes piece;
    for (; at < end; at += piece.size()) {
        piece.resize(std::min(kReadSize, end - at));
        plain_.read(at, piece);
        checksum.update(piece);
    }
    std::array<std::byte, sizeof(Hash128)> stored{};
    plain_.read(end, ByteSpan(stored).first(header.checksum_size));
    if (!checksum.matches(stored)) {
        fail(EUCLEAN, plain_.place(end) + ": the checksum of strip " + format_count(strip) +
                          " is wrong (blocks " + format_count(layout_.used.select(rank)) + " to " +
                          format_count(layout_.used.select(rank + blocks - 1)) +
                          " of the partition); the image is damaged");
    }
}

}  // namespace imgfs
