#include "fs/source/own_checksums.h"

#include <algorithm>

#include "fs/source/lzop_file.h"
#include "fs/source/zstd_frame.h"

namespace imgfs {
namespace {

constexpr size_t kHeader = 16;
constexpr uint32_t kLz4Magic = 0x184d2204;
constexpr uint8_t kLz4Checksums = 0x14;     // of the content, or of each block
constexpr uint8_t kXzChecks = 0x0f;         // 0: none
constexpr uint32_t kLzopChecksums = 0x303;  // Adler-32 or CRC-32, of plain or of packed bytes

bool zstd_has(const Source& packed) {
    uint64_t at = 0;
    while (const auto frame = next_zstd_frame(packed, at)) {
        if (!frame->skippable) {
            return frame->checksum;
        }
        at += frame->packed_size;
    }
    return false;
}

bool lzop_has(const Source& packed) {
    LzopReader reader(packed, 0, std::nullopt, 4 * kKiB);
    return reader.next() == LzopReader::Event::file && (reader.flags().bits & kLzopChecksums) != 0;
}

}  // namespace

bool has_own_checksums(const Codec& codec, const Source& packed) {
    Bytes header(kHeader);
    packed.read(0, ByteSpan(header).first(std::min<uint64_t>(kHeader, packed.size())));
    if (codec.name == "zstd") {
        return zstd_has(packed);
    }
    if (codec.name == "lzop") {
        return lzop_has(packed);
    }
    if (codec.name == "lz4") {
        return le32(header, 0) == kLz4Magic &&
               (std::to_integer<uint8_t>(header[4]) & kLz4Checksums) != 0;
    }
    if (codec.name == "xz") {
        return (std::to_integer<uint8_t>(header[7]) & kXzChecks) != 0;
    }
    return codec.name != "lzma";
}

}  // namespace imgfs
