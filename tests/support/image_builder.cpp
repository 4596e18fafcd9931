#include "tests/support/image_builder.h"

#include <algorithm>
#include <array>
#include <random>

#include "fs/base/checksum.h"
#include "tests/support/memory_source.h"

namespace imgfs {
namespace {

constexpr size_t kHeaderSize = 110;
constexpr size_t kHeaderSizeOf0001 = 4160;

void append(Bytes& stream, ConstByteSpan bytes) {
    stream.insert(stream.end(), bytes.begin(), bytes.end());
}

void append_crc(Bytes& stream, ConstByteSpan of) {
    Bytes crc(4);
    store<uint32_t>(crc, 0, ~crc32(of));
    append(stream, crc);
}

Bytes checksum_of(const PartcloneSpec& spec, ConstByteSpan data) {
    Bytes checksum;
    if (spec.checksum_mode == 0x20) {
        append_crc(checksum, data);
    } else if (spec.checksum_mode == 0x30) {
        checksum.resize(8);
        store<uint64_t>(checksum, 0, xxh64(data));
    } else if (spec.checksum_mode == 0x31) {
        append(checksum, xxh3_128(data));
    }
    return checksum;
}

Bytes header_of(const PartcloneSpec& spec, uint64_t device_size) {
    Bytes header(kHeaderSize);
    const auto put = [&](size_t offset, std::string_view text) {
        std::ranges::copy(bytes_of(text), header.begin() + static_cast<ptrdiff_t>(offset));
    };
    put(0, "partclone-image");
    put(16, "0.3.99");
    put(30, "0002");
    store<uint16_t>(header, 34, 0xC0DE);
    put(36, spec.file_system);
    store<uint64_t>(header, 52, device_size);
    store<uint64_t>(header, 60, spec.used.size());
    const auto used = static_cast<uint64_t>(std::ranges::count(spec.used, true));
    store<uint64_t>(header, 68, used);
    store<uint64_t>(header, 76, used);
    store<uint32_t>(header, 84, spec.block_size);
    store<uint32_t>(header, 88, 18);
    store<uint16_t>(header, 92, 2);
    store<uint16_t>(header, 94, 64);
    store<uint16_t>(header, 96, spec.checksum_mode);
    store<uint16_t>(header, 98, static_cast<uint16_t>(checksum_of(spec, {}).size()));
    store<uint32_t>(header, 100, spec.checksum_mode == 0 ? 0 : spec.blocks_per_checksum);
    store<uint8_t>(header, 104, spec.restart ? 1 : 0);
    store<uint8_t>(header, 105, spec.bitmap_mode);
    seal_partclone_header(header);
    return header;
}

/// Only the value 1 says that a block is there.
Bytes byte_map_of(const PartcloneSpec& spec) {
    Bytes map;
    for (size_t i = 0; i < spec.used.size(); ++i) {
        constexpr std::array<uint8_t, 4> kAbsent{0, 2, 128, 255};
        map.push_back(std::byte{spec.used[i] ? uint8_t{1} : kAbsent[i % kAbsent.size()]});
    }
    return map;
}

Bytes bitmap_of(const PartcloneSpec& spec) {
    Bytes bitmap((spec.used.size() + 7) / 8);
    for (size_t i = 0; i < bitmap.size() * 8; ++i) {
        if (i < spec.used.size() ? spec.used[i] : spec.bits_past_end) {
            bitmap[i / 8] |= std::byte{1} << (i % 8);
        }
    }
    return bitmap;
}

void append_map(Bytes& stream, const PartcloneSpec& spec) {
    if (spec.bitmap_mode == 0) {
        return;
    }
    const auto map = spec.bitmap_mode == 8 ? byte_map_of(spec) : bitmap_of(spec);
    append(stream, map);
    if (spec.bitmap_mode == 8 && spec.map_end == MapEnd::mark) {
        append(stream, bytes_of("BiTmAgIc"));
    } else {
        append_crc(stream, map);
    }
}

Bytes header_of_0001(const PartcloneSpec& spec) {
    Bytes header(kHeaderSizeOf0001);
    const auto put = [&](size_t offset, std::string_view text) {
        std::ranges::copy(bytes_of(text), header.begin() + static_cast<ptrdiff_t>(offset));
    };
    put(0, "partclone-image");
    put(15, spec.file_system);
    put(30, "0001");
    store<uint32_t>(header, 36, spec.block_size);
    // Some writers put 0 there.
    store<uint64_t>(header, 40,
                    spec.tail == 0 ? 0 : spec.used.size() * spec.block_size + spec.tail);
    store<uint64_t>(header, 48, spec.used.size());
    store<uint64_t>(header, 56, 12345);
    return header;
}

}  // namespace

void seal_partclone_header(ByteSpan stream) {
    store<uint32_t>(stream, 106, ~crc32(stream.first(106)));
}

BuiltImage build_partclone(const PartcloneSpec& spec) {
    BuiltImage image;
    image.plain.resize(spec.used.size() * spec.block_size + spec.tail);
    image.stream = header_of(spec, image.plain.size());
    append_map(image.stream, spec);
    Bytes summed;
    uint32_t in_strip = 0;
    const auto end_strip = [&] {
        append(image.stream, checksum_of(spec, summed));
        in_strip = 0;
        if (spec.restart) {
            summed.clear();
        }
    };
    for (size_t i = 0; i < spec.used.size(); ++i) {
        if (!spec.used[i]) {
            continue;
        }
        const auto block = noise(spec.block_size, spec.seed + i);
        std::ranges::copy(block, image.plain.begin() + static_cast<ptrdiff_t>(i * spec.block_size));
        append(image.stream, block);
        append(summed, block);
        if (++in_strip == spec.blocks_per_checksum) {
            end_strip();
        }
    }
    if (in_strip != 0) {
        end_strip();
    }
    return image;
}

BuiltImage build_partclone_0001(const PartcloneSpec& spec, size_t checksum_slot) {
    BuiltImage image;
    image.plain.resize(spec.used.size() * spec.block_size + spec.tail);
    image.stream = header_of_0001(spec);
    append(image.stream, byte_map_of(spec));
    append(image.stream, bytes_of("BiTmAgIc"));
    Bytes summed;
    for (size_t i = 0; i < spec.used.size(); ++i) {
        if (spec.used[i]) {
            const auto block = noise(spec.block_size, spec.seed + i);
            std::ranges::copy(block,
                              image.plain.begin() + static_cast<ptrdiff_t>(i * spec.block_size));
            append(image.stream, block);
            summed.insert(summed.end(), spec.block_size, block[0]);
            append_crc(image.stream, summed);
            image.stream.insert(image.stream.end(), checksum_slot - 4, std::byte{0x5A});
        }
    }
    return image;
}

std::vector<bool> used_blocks(size_t count, unsigned percent, uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<bool> used;
    while (used.size() < count) {
        used.insert(used.end(), 1 + random() % 40, random() % 100 < percent);
    }
    used.resize(count);
    return used;
}

}  // namespace imgfs
