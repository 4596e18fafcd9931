#include "fs/source/gzip_header.h"

#include <algorithm>

namespace imgfs {
namespace {

constexpr uint8_t kHeaderChecksum = 2;
constexpr uint8_t kExtra = 4;
constexpr uint8_t kName = 8;
constexpr uint8_t kComment = 16;
constexpr uint8_t kReserved = 0xe0;

void skip_text(PackedReader& reader) {
    while (reader.byte() != 0) {
    }
}

uint32_t read_le32(PackedReader& reader) {
    uint32_t value = 0;
    for (unsigned shift = 0; shift < 32; shift += 8) {
        value |= static_cast<uint32_t>(reader.byte()) << shift;
    }
    return value;
}

}  // namespace

void skip_gzip_header(PackedReader& reader) {
    if (reader.byte() != 0x1f || reader.byte() != 0x8b || reader.byte() != 8) {
        reader.fail_damaged("no gzip header");
    }
    const auto flags = reader.byte();
    if ((flags & kReserved) != 0) {
        reader.fail_damaged("a gzip header with unknown flags");
    }
    for (int i = 0; i < 6; ++i) {
        reader.byte();  // time, extra flags, system
    }
    if ((flags & kExtra) != 0) {
        const unsigned low = reader.byte();
        for (unsigned left = low | static_cast<unsigned>(reader.byte()) << 8; left > 0; --left) {
            reader.byte();
        }
    }
    if ((flags & kName) != 0) {
        skip_text(reader);
    }
    if ((flags & kComment) != 0) {
        skip_text(reader);
    }
    if ((flags & kHeaderChecksum) != 0) {
        reader.byte();
        reader.byte();
    }
}

GzipTrailer read_gzip_trailer(PackedReader& reader) {
    const auto crc = read_le32(reader);
    return {crc, read_le32(reader)};
}

bool another_gzip_member(PackedReader& reader) {
    for (auto bytes = reader.available(); !bytes.empty(); bytes = reader.available()) {
        const auto zeros =
            std::ranges::find_if(bytes, [](std::byte b) { return b != std::byte{}; });
        reader.take(static_cast<size_t>(zeros - bytes.begin()));
        if (zeros == bytes.end()) {
            continue;
        }
        if (*zeros != std::byte{0x1f} || zeros != bytes.begin()) {
            reader.fail_damaged("something that is no gzip follows the compressed data");
        }
        return true;
    }
    return false;
}

}  // namespace imgfs
