// The stream of a partclone 0002 image, integers little-endian:
//
//     0  16  "partclone-image\0"            76  8  used blocks, as the writer counted them
//    16  14  partclone's version            84  4  block size
//    30   4  "0002"                         88  4  size of what follows, without the CRC: 18
//    34   2  0xC0DE                         92  2  2
//    36  16  file system                    94  2  32 or 64 bits
//    52   8  device size                    96  2  checksum mode      98  2  checksum size
//    60   8  blocks in all                 100  4  blocks a checksum
//    68   8  used blocks, as the file      104  1  1: checksums restart at each strip
//            system says: unreliable       105  1  bitmap: 0 none, 1 bits, 8 bytes
//                                          106  4  CRC of bytes 0 to 105
//   110      bitmap, one bit a block, and its CRC (4 bytes)
//   then     the used blocks in order; after each `blocks a checksum` of them, and after the last,
//            one checksum of the data before it
#include "fs/image/partclone_layout.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>

#include "fs/base/error.h"
#include "fs/base/text.h"

namespace imgfs {
namespace {

constexpr uint64_t kMostBlocks = uint64_t{1} << 43;
constexpr uint32_t kLargestBlock = 64 * kMiB;
constexpr uint64_t kLargestDevice = std::numeric_limits<int64_t>::max();

struct Mode {
    ChecksumMode mode;
    uint16_t size;
};
constexpr std::array<Mode, 4> kModes{{{ChecksumMode::none, 0},
                                      {ChecksumMode::crc32, 4},
                                      {ChecksumMode::xxh64, 8},
                                      {ChecksumMode::xxh128, 16}}};

std::string padded_text(ConstByteSpan field) {
    const auto text = text_of(field);
    return printable(text.substr(0, text.find('\0')));
}

[[noreturn]] void damaged(const Source& plain, uint64_t offset, const std::string& what) {
    fail(EUCLEAN, plain.place(offset) + ": partclone header: " + what);
}

void check_version(const Source& plain, ConstByteSpan head) {
    const bool intact = le32(head, 106) == partclone_crc32(head.first(106));
    const auto version = text_of(head.subspan(30, 4));
    const auto mark = le16(head, 34);
    if (version == "0001") {
        fail(ENOTSUP, plain.place(0) +
                          ": partclone image version 0001, of before 2013, is not handled; restore "
                          "it with partclone.restore and image it again");
    }
    if (version == "0002" && mark == 0xDEC0) {
        fail(ENOTSUP,
             plain.place(34) + ": partclone image written on a big-endian machine is not handled");
    }
    if (!intact) {
        damaged(plain, 0, "its checksum is wrong");
    }
    if (version != "0002" || mark != 0xC0DE || le16(head, 92) != 2 || le32(head, 88) != 18) {
        fail(ENOTSUP, plain.place(30) + ": partclone image version " + printable(version) +
                          " is not known to this imgfs");
    }
}

void check_sizes(const Source& plain, const PartcloneHeader& header, ConstByteSpan head) {
    if (header.block_size == 0 || header.block_size > kLargestBlock) {
        damaged(plain, 84, "absurd block size " + format_count(header.block_size));
    }
    if (header.total_blocks == 0 || header.total_blocks > kMostBlocks) {
        damaged(plain, 60, "absurd number of blocks " + format_count(header.total_blocks));
    }
    if (header.device_size > kLargestDevice ||
        header.total_blocks > header.device_size / header.block_size) {
        damaged(plain, 52,
                format_count(header.total_blocks) + " blocks of " +
                    format_count(header.block_size) + " bytes don't fit a device of " +
                    format_count(header.device_size));
    }
    if (le64(head, 76) > header.total_blocks) {
        damaged(plain, 76, "more blocks used than there are");
    }
}

void check_checksums(const Source& plain, const PartcloneHeader& header) {
    const auto mode = std::ranges::find(kModes, header.checksum_mode, &Mode::mode);
    if (mode == kModes.end()) {
        fail(ENOTSUP, plain.place(96) + ": partclone checksum mode " +
                          std::to_string(static_cast<unsigned>(header.checksum_mode)) +
                          " is not known to this imgfs");
    }
    if (header.checksum_size != mode->size) {
        damaged(plain, 98, "checksums of " + std::to_string(header.checksum_size) + " bytes");
    }
    if (header.blocks_per_checksum == 0 && mode->size != 0) {
        damaged(plain, 100, "no blocks per checksum");
    }
}

void check_bitmap_mode(const Source& plain, std::byte mode) {
    if (mode == std::byte{0} || mode == std::byte{8}) {
        fail(ENOTSUP, plain.place(105) + ": partclone image with " +
                          (mode == std::byte{0} ? "no bitmap" : "a byte map") + " is not handled");
    }
    if (mode != std::byte{1}) {
        damaged(plain, 105, "bitmap mode " + std::to_string(std::to_integer<unsigned>(mode)));
    }
}

[[noreturn]] void cut_short(const Source& plain, const std::string& where) {
    const uint64_t last = plain.size() == 0 ? 0 : plain.size() - 1;
    fail(EUCLEAN,
         plain.place(last) + ": stream ends " + where + " (a part is missing or cut short)");
}

BlockBitmap read_bitmap(const Source& plain, const PartcloneHeader& header) {
    const auto size = header.bitmap_size();
    if (plain.size() - kPartcloneHeaderSize < size + kPartcloneCrcSize) {  // before allocating it
        cut_short(plain, "inside the bitmap");
    }
    std::vector<uint64_t> words((size + 7) / 8);
    const auto bytes = std::as_writable_bytes(std::span(words)).first(size);
    plain.read(kPartcloneHeaderSize, bytes);
    std::array<std::byte, kPartcloneCrcSize> stored{};
    plain.read(kPartcloneHeaderSize + size, stored);
    if (le32(stored, 0) != partclone_crc32(bytes)) {
        fail(EUCLEAN, plain.place(kPartcloneHeaderSize) +
                          ": bitmap of used blocks is damaged: its checksum is wrong");
    }
    return {std::move(words), header.total_blocks};
}

}  // namespace

PartcloneHeader read_partclone_header(const Source& plain) {
    if (plain.size() < kPartcloneHeaderSize) {
        cut_short(plain, "inside the partclone header");
    }
    std::array<std::byte, kPartcloneHeaderSize> bytes{};
    plain.read(0, bytes);
    const ConstByteSpan head(bytes);
    check_version(plain, head);
    PartcloneHeader header{.made_by = padded_text(head.subspan(16, 14)),
                           .file_system = padded_text(head.subspan(36, 16)),
                           .device_size = le64(head, 52),
                           .total_blocks = le64(head, 60),
                           .block_size = le32(head, 84),
                           .checksum_mode = ChecksumMode{le16(head, 96)},
                           .checksum_size = le16(head, 98),
                           .blocks_per_checksum = le32(head, 100),
                           .checksums_restart = head[104] != std::byte{0}};
    check_sizes(plain, header, head);
    check_checksums(plain, header);
    check_bitmap_mode(plain, head[105]);
    if (header.checksum_mode == ChecksumMode::none) {
        header.blocks_per_checksum = 0;
    }
    return header;
}

uint64_t PartcloneLayout::block_offset(uint64_t rank) const {
    const uint64_t checksums =
        header.blocks_per_checksum == 0 ? 0 : rank / header.blocks_per_checksum;
    return data_start() + rank * header.block_size + checksums * header.checksum_size;
}

uint64_t PartcloneLayout::blocks_before(uint64_t offset) const {
    const uint64_t data = offset - std::min(offset, data_start());
    const uint64_t blocks = header.blocks_per_checksum;
    if (blocks == 0) {
        return data / header.block_size;
    }
    const uint64_t strip = blocks * header.block_size + header.checksum_size;
    return data / strip * blocks + std::min(blocks, data % strip / header.block_size);
}

uint64_t PartcloneLayout::strip_count() const {
    const uint64_t blocks = header.blocks_per_checksum;
    return blocks == 0 ? 0 : (used.used_count() + blocks - 1) / blocks;
}

uint64_t PartcloneLayout::stream_end() const {
    return data_start() + used.used_count() * header.block_size +
           strip_count() * header.checksum_size;
}

PartcloneLayout read_partclone_layout(const Source& plain) {
    auto header = read_partclone_header(plain);
    auto used = read_bitmap(plain, header);
    PartcloneLayout layout{std::move(header), std::move(used)};
    if (plain.size() < layout.stream_end()) {
        cut_short(plain, "after " + format_count(layout.blocks_before(plain.size())) + " of " +
                             format_count(layout.used.used_count()) + " used blocks, " +
                             format_count(layout.stream_end() - plain.size()) + " bytes too early");
    }
    return layout;
}

}  // namespace imgfs
