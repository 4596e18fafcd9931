// Integers are little-endian. Version 0002, written by partclone since 0.3.0:
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
//
// Version 0001, written before that; nothing checks it:
//
//     0  15  "partclone-image"              40  8  device size
//    15  15  file system                    48  8  blocks in all
//    30   4  "0001"                         56  8  used blocks: unreliable
//    34   2  unused                         64  4096  unused
//    36   4  block size
#include "fs/image/partclone_header.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>

#include "fs/base/error.h"
#include "fs/base/text.h"

namespace imgfs {
namespace {

constexpr size_t kSize2 = 110;
constexpr size_t kSize1 = 4160;
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

/// Where the two versions keep the fields that are checked alike.
struct Places {
    uint64_t block_size;
    uint64_t total_blocks;
    uint64_t device_size;
};
constexpr Places kPlaces2{.block_size = 84, .total_blocks = 60, .device_size = 52};
constexpr Places kPlaces1{.block_size = 36, .total_blocks = 48, .device_size = 40};

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

void check_sizes(const Source& plain, const PartcloneHeader& header, const Places& places) {
    if (header.block_size == 0 || header.block_size > kLargestBlock) {
        damaged(plain, places.block_size, "absurd block size " + format_count(header.block_size));
    }
    if (header.total_blocks == 0 || header.total_blocks > kMostBlocks) {
        damaged(plain, places.total_blocks,
                "absurd number of blocks " + format_count(header.total_blocks));
    }
    if (header.device_size > kLargestDevice ||
        header.total_blocks > header.device_size / header.block_size) {
        damaged(plain, places.device_size,
                format_count(header.total_blocks) + " blocks of " +
                    format_count(header.block_size) + " bytes don't fit a device of " +
                    format_count(header.device_size));
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

void check_bitmap_mode(const Source& plain, BitmapMode mode) {
    switch (mode) {
        case BitmapMode::none:
        case BitmapMode::bits:
        case BitmapMode::bytes:
            return;
    }
    damaged(plain, 105, "bitmap mode " + std::to_string(static_cast<unsigned>(mode)));
}

PartcloneHeader read_version_1(const Source& plain, ConstByteSpan head) {
    if (plain.bound() < kSize1) {
        fail_cut_short(plain, "inside the partclone header");
    }
    PartcloneHeader header{.version = "0001",
                           .file_system = padded_text(head.subspan(15, 15)),
                           .size = kSize1,
                           .device_size = le64(head, 40),
                           .total_blocks = le64(head, 48),
                           .block_size = le32(head, 36),
                           .bitmap_mode = BitmapMode::bytes,
                           .checksum_mode = ChecksumMode::crc32_of_first_bytes,
                           .checksum_size = 4,
                           .blocks_per_checksum = 1,
                           .checksums_restart = false};
    if (header.total_blocks <= kLargestDevice / std::max(header.block_size, 1U)) {
        // Writers have put less there than the blocks take.
        header.device_size = std::max(header.device_size, header.total_blocks * header.block_size);
    }
    check_sizes(plain, header, kPlaces1);
    return header;
}

PartcloneHeader read_version_2(const Source& plain, ConstByteSpan head) {
    check_version(plain, head);
    PartcloneHeader header{.version = "0002",
                           .made_by = padded_text(head.subspan(16, 14)),
                           .file_system = padded_text(head.subspan(36, 16)),
                           .size = kSize2,
                           .device_size = le64(head, 52),
                           .total_blocks = le64(head, 60),
                           .block_size = le32(head, 84),
                           .bitmap_mode = BitmapMode{std::to_integer<uint8_t>(head[105])},
                           .checksum_mode = ChecksumMode{le16(head, 96)},
                           .checksum_size = le16(head, 98),
                           .blocks_per_checksum = le32(head, 100),
                           .checksums_restart = head[104] != std::byte{0}};
    check_sizes(plain, header, kPlaces2);
    if (le64(head, 76) > header.total_blocks) {
        damaged(plain, 76, "more blocks used than there are");
    }
    check_checksums(plain, header);
    check_bitmap_mode(plain, header.bitmap_mode);
    if (header.checksum_mode == ChecksumMode::none) {
        header.blocks_per_checksum = 0;
    }
    return header;
}

}  // namespace

void fail_cut_short(const Source& plain, const std::string& where) {
    const uint64_t end = plain.bound();
    fail(EUCLEAN, plain.place(end == 0 ? 0 : end - 1) + ": stream ends " + where +
                      " (a part is missing or cut short)");
}

uint64_t size_of(Proof proof) {
    switch (proof) {
        case Proof::none:
            return 0;
        case Proof::crc:
            return 4;
        case Proof::mark:
            return kBitmapMark.size();
    }
    return 0;
}

uint64_t PartcloneHeader::bitmap_size() const {
    switch (bitmap_mode) {
        case BitmapMode::none:
            return 0;
        case BitmapMode::bits:
            return (total_blocks + 7) / 8;
        case BitmapMode::bytes:
            return total_blocks;
    }
    return 0;
}

PartcloneHeader read_partclone_header(const Source& plain) {
    if (plain.bound() < kSize2) {
        fail_cut_short(plain, "inside the partclone header");
    }
    std::array<std::byte, kSize2> bytes{};
    plain.read(0, bytes);
    const ConstByteSpan head(bytes);
    return text_of(head.subspan(30, 4)) == "0001" ? read_version_1(plain, head)
                                                  : read_version_2(plain, head);
}

}  // namespace imgfs
