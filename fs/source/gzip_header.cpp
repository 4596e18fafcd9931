#include "fs/source/gzip_header.h"

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
    const auto crc = reader.le32();
    return {crc, reader.le32()};
}

bool another_gzip_member(PackedReader& reader) {
    const auto behind = reader.offset();
    if (!reader.more_behind_zeros()) {
        return false;
    }
    if (reader.offset() != behind || reader.available().front() != std::byte{0x1f}) {
        reader.fail_damaged("something that is no gzip follows the compressed data");
    }
    return true;
}

}  // namespace imgfs
