// The layout stands in partclone_header.cpp.
#include "fs/image/partclone_writer.h"

#include <algorithm>
#include <array>
#include <utility>

namespace imgfs {
namespace {

constexpr size_t kHeaderSize = 110;
constexpr size_t kChecked = 106;
constexpr uint32_t kBlocksPerChecksum = 2560;  // as Clonezilla has them, at 4 KiB

void put_text(ByteSpan header, size_t offset, size_t room, std::string_view text) {
    std::ranges::copy(bytes_of(text.substr(0, room)),
                      header.begin() + static_cast<ptrdiff_t>(offset));
}

std::array<std::byte, kHeaderSize> header_of(const NewPartclone& image, const BlockBitmap& used) {
    const bool has_checksums = image.checksum != ChecksumMode::none;
    std::array<std::byte, kHeaderSize> bytes{};
    const ByteSpan header(bytes);
    put_text(header, 0, 16, "partclone-image");
    put_text(header, 16, 13, "imgfs " IMGFS_VERSION);
    put_text(header, 30, 4, "0002");
    store<uint16_t>(header, 34, 0xC0DE);
    put_text(header, 36, 15, image.file_system);
    store(header, 52, image.device_size);
    store(header, 60, used.block_count());
    store(header, 68, used.used_count());
    store(header, 76, used.used_count());
    store(header, 84, image.block_size);
    store<uint32_t>(header, 88, 18);
    store<uint16_t>(header, 92, 2);
    store<uint16_t>(header, 94, 64);
    store(header, 96, static_cast<uint16_t>(image.checksum));
    store(header, 98, static_cast<uint16_t>(StripChecksum(image.checksum, 1).value().size()));
    store<uint32_t>(header, 100, has_checksums ? kBlocksPerChecksum : 0);
    header[104] = std::byte{1};
    header[105] = std::byte{1};
    store(header, kChecked, partclone_crc32(header.first(kChecked)));
    return bytes;
}

}  // namespace

PartcloneWriter::PartcloneWriter(const NewPartclone& image, const BlockBitmap& used, Write write)
    : write_(std::move(write)),
      strip_size_(uint64_t{kBlocksPerChecksum} * image.block_size),
      checksum_(image.checksum, image.block_size) {
    write_(header_of(image, used));
    write_(used.bytes());
    std::array<std::byte, 4> crc{};
    store<uint32_t>(crc, 0, partclone_crc32(used.bytes()));
    write_(crc);
}

void PartcloneWriter::add(ConstByteSpan blocks) {
    while (!blocks.empty()) {
        const auto part = blocks.first(std::min(blocks.size(), strip_size_ - in_strip_));
        checksum_.update(part);
        write_(part);
        in_strip_ += part.size();
        if (in_strip_ == strip_size_) {
            end_strip();
        }
        blocks = blocks.subspan(part.size());
    }
}

void PartcloneWriter::end_strip() {
    write_(checksum_.value());
    checksum_.restart();
    in_strip_ = 0;
}

void PartcloneWriter::finish() {
    if (in_strip_ != 0) {
        end_strip();
    }
}

}  // namespace imgfs
