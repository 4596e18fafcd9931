#include "fs/source/zstd_frame.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include "fs/base/error.h"
#include "fs/source/packed_reader.h"

namespace imgfs {
namespace {

constexpr size_t kHeaderMost = 18;
constexpr size_t kSkippableHeader = 8;
constexpr size_t kReadSize = 64 * kKiB;
constexpr unsigned kSmallestWindowLog = 10;

[[noreturn]] void refuse(const Source& packed, uint64_t offset, const std::string& why) {
    fail(EUCLEAN, packed.place(offset) + ": " + why);
}

uint64_t window_of(unsigned byte) {
    const auto base = uint64_t{1} << (kSmallestWindowLog + (byte >> 3));
    return base + base / 8 * (byte & 7);
}

uint64_t little_endian(ConstByteSpan bytes) {
    uint64_t value = 0;
    for (size_t i = bytes.size(); i-- > 0;) {
        value = value << 8 | std::to_integer<uint64_t>(bytes[i]);
    }
    return value;
}

[[noreturn]] void refuse_unknown(const Source& packed, uint64_t offset, uint32_t magic) {
    refuse(packed, offset,
           is_old_zstd(magic)
               ? "a zstd frame of a format before 0.8; convert it: cat PARTS | zstd -dc | "
                 "zstd -T0 >NEW.zst"
               : "no zstd frame starts there, though the one before it has ended; the stream is "
                 "damaged there, or something else was appended");
}

/// The fields behind the descriptor.
class HeaderFields {
  public:
    HeaderFields(const Source& packed, ConstByteSpan left) : packed_(packed), left_(left) {}

    uint64_t next(size_t size) {
        if (left_.size() < size) {
            fail_cut_short(packed_);
        }
        const auto value = little_endian(left_.first(size));
        left_ = left_.subspan(size);
        return value;
    }
    size_t left() const { return left_.size(); }

  private:
    const Source& packed_;
    ConstByteSpan left_;
};

ZstdFrame content_frame(const Source& packed, uint64_t offset, ConstByteSpan start) {
    constexpr std::array<size_t, 4> kDictionarySizes = {0, 1, 2, 4};
    constexpr std::array<size_t, 4> kContentSizes = {0, 2, 4, 8};
    HeaderFields fields(packed, start.subspan(4));
    const auto descriptor = fields.next(1);
    if ((descriptor & 8) != 0) {
        fail_damaged(packed, offset, "a reserved bit of the frame's header is set");
    }
    const bool single_segment = (descriptor & 0x20) != 0;
    ZstdFrame frame{.checksum = (descriptor & 4) != 0};
    if (!single_segment) {
        frame.window = window_of(static_cast<unsigned>(fields.next(1)));
    }
    if (fields.next(kDictionarySizes[descriptor & 3]) != 0) {
        refuse(packed, offset,
               "a zstd frame that was made with a dictionary; unpack it with that: zstd -dc -D "
               "DICTIONARY");
    }
    const auto log = descriptor >> 6;
    const auto size = log == 0 && single_segment ? 1 : kContentSizes[log];
    if (size != 0) {
        frame.content_size = fields.next(size) + (size == 2 ? 256 : 0);
    }
    if (single_segment) {
        frame.window = *frame.content_size;
    }
    frame.packed_size = start.size() - fields.left();
    if (frame.window > kZstdWindowMost) {
        refuse(packed, offset,
               "a zstd frame that needs a window over 2 GiB; no zstd program writes that, so the "
               "stream is probably damaged there");
    }
    return frame;
}

}  // namespace

bool is_old_zstd(uint32_t magic) {
    return magic == 0x1eb52ffd || (magic >= 0xfd2fb522 && magic < kZstdMagic);
}

bool is_zstd_skippable(uint32_t magic) {
    return (magic & 0xfffffff0) == 0x184d2a50;
}

std::optional<ZstdFrame> next_zstd_frame(const Source& packed, uint64_t offset) {
    const auto left = packed.size() - offset;
    std::array<std::byte, kHeaderMost> buffer;
    const auto start = ByteSpan(buffer).first(std::min<uint64_t>(left, kHeaderMost));
    packed.read(offset, start);
    const bool maybe_zeros =
        std::ranges::all_of(start, [](std::byte b) { return b == std::byte{}; });
    if (maybe_zeros && !PackedReader(packed, offset, kReadSize).more_behind_zeros()) {
        return std::nullopt;
    }
    if (start.size() < 4) {
        fail_cut_short(packed);
    }
    const auto magic = le32(start, 0);
    if (magic == kZstdMagic) {
        return content_frame(packed, offset, start);
    }
    if (!is_zstd_skippable(magic)) {
        refuse_unknown(packed, offset, magic);
    }
    if (start.size() < kSkippableHeader || left - kSkippableHeader < le32(start, 4)) {
        fail_cut_short(packed);
    }
    return ZstdFrame{.packed_size = kSkippableHeader + uint64_t{le32(start, 4)}, .skippable = true};
}

Bytes zstd_header_for(uint64_t window) {
    unsigned byte = 0;
    while (window_of(byte) < window) {
        ++byte;
    }
    Bytes header(6);
    store(header, 0, kZstdMagic);
    header[5] = static_cast<std::byte>(byte);
    return header;
}

ZstdBlockHeader zstd_block_header(ConstByteSpan bytes) {
    const auto value = static_cast<uint32_t>(little_endian(bytes.first(kZstdBlockHeader)));
    return {.kind = static_cast<ZstdBlockHeader::Kind>(value >> 1 & 3),
            .last = (value & 1) != 0,
            .size = value >> 3};
}

bool is_sound(const ZstdBlockHeader& block, uint64_t window) {
    return block.kind != ZstdBlockHeader::Kind::reserved &&
           block.size <= std::min(window, kZstdBlockMost);
}

}  // namespace imgfs
