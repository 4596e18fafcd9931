// Behind the header of a partclone image (partclone_header.cpp) stand
//
//     the bitmap of used blocks: one bit a block, lowest first, and a CRC of 4 bytes; or one byte a
//     block, of which only the value 1 says that the image has it, and "BiTmAgIc" or such a CRC; or
//     nothing, if it has them all
//     the used blocks in order; after each `blocks a checksum` of them, and after the last, one
//     checksum of the data before it
//
// In version 0001 there is a checksum after each block, and it runs from the first to the last; it
// takes block_size times the first byte of each block. Old 64-bit writers put 4 bytes behind it
// that mean nothing, and no field tells so.
#include "fs/image/partclone_layout.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "fs/base/error.h"
#include "fs/base/text.h"

namespace imgfs {
namespace {

constexpr uint16_t kWideChecksum = 8;  // with what old 64-bit writers put behind it
constexpr uint64_t kPieceOfByteMap = kMiB;

[[noreturn]] void damaged_bitmap(const Source& plain, const PartcloneHeader& header,
                                 const std::string& why) {
    fail(EUCLEAN, plain.place(header.size) + ": bitmap of used blocks is damaged: " + why);
}

/// Four bytes of what stands behind the bitmap. Where they can be read, the stream holds all of the
/// bitmap: only then is memory taken for it.
std::array<std::byte, 4> read_proof(const Source& plain, const PartcloneHeader& header,
                                    uint64_t skip = 0) {
    std::array<std::byte, 4> proof{};
    const uint64_t size = header.bitmap_size() + skip;
    if (plain.bound() - header.size < size + proof.size()) {
        fail_cut_short(plain, "inside the bitmap");
    }
    plain.read(header.size + size, proof);
    return proof;
}

struct UsedBlocks {
    BlockBitmap bitmap;
    Proof proof;
};

UsedBlocks read_bits(const Source& plain, const PartcloneHeader& header) {
    const auto proof = read_proof(plain, header);
    const auto size = header.bitmap_size();
    std::vector<uint64_t> words((size + 7) / 8);
    const auto bytes = std::as_writable_bytes(std::span(words)).first(size);
    plain.read(header.size, bytes);
    if (le32(proof, 0) != partclone_crc32(bytes)) {
        damaged_bitmap(plain, header, "its checksum is wrong");
    }
    return {{std::move(words), header.total_blocks}, Proof::crc};
}

UsedBlocks read_byte_map(const Source& plain, const PartcloneHeader& header) {
    const auto proof = read_proof(plain, header);
    const auto size = header.bitmap_size();
    std::vector<uint64_t> words((size + 63) / 64);
    Bytes piece;
    uint32_t crc = 0;
    for (uint64_t at = 0; at < size; at += piece.size()) {
        piece.resize(std::min(kPieceOfByteMap, size - at));
        plain.read(header.size + at, piece);
        crc = crc32(piece, crc);
        for (size_t i = 0; i < piece.size(); ++i) {
            words[(at + i) / 64] |= uint64_t{piece[i] == std::byte{1}} << ((at + i) % 64);
        }
    }
    const bool marked = text_of(proof) == kBitmapMark.substr(0, 4) &&
                        text_of(read_proof(plain, header, 4)) == kBitmapMark.substr(4);
    if (!marked && (header.version == "0001" || le32(proof, 0) != ~crc)) {
        damaged_bitmap(plain, header, "what should stand behind it doesn't");
    }
    return {{std::move(words), size}, marked ? Proof::mark : Proof::crc};
}

UsedBlocks read_used_blocks(const Source& plain, const PartcloneHeader& header) {
    switch (header.bitmap_mode) {
        case BitmapMode::none:
            break;
        case BitmapMode::bits:
            return read_bits(plain, header);
        case BitmapMode::bytes:
            return read_byte_map(plain, header);
    }
    return {BlockBitmap::full(header.total_blocks), Proof::none};
}

void check_end(const Source& plain, const PartcloneLayout& layout) {
    const uint64_t end = plain.bound();
    if (end < layout.stream_end()) {
        fail_cut_short(plain, "after " + format_count(layout.blocks_before(end)) + " of " +
                                  format_count(layout.used.used_count()) + " used blocks, " +
                                  format_count(layout.stream_end() - end) + " bytes too early");
    }
}

/// Do the checksums of the first two blocks agree where the layout places them?
bool starts_well(const Source& plain, const PartcloneLayout& layout) {
    const auto block_size = layout.header.block_size;
    std::array<std::byte, 1> first{};
    std::array<std::byte, 4> stored{};
    uint32_t crc = 0;
    try {
        for (uint64_t rank = 0; rank < 2; ++rank) {
            plain.read(layout.block_offset(rank), first);
            crc = crc32_of_repeated(first[0], block_size, crc);
        }
        plain.read(layout.block_offset(1) + block_size, stored);
    } catch (const std::system_error& error) {
        if (error.code().value() != EUCLEAN) {
            throw;
        }
        return false;
    }
    return le32(stored, 0) == ~crc;
}

/// Version 0001 has checksums of two widths. The stream's size, which would tell, may be unknown.
void find_checksum_size(const Source& plain, PartcloneLayout& layout) {
    if (layout.header.version != "0001" || layout.used.used_count() < 2 ||
        starts_well(plain, layout)) {
        return;
    }
    const auto narrow = std::exchange(layout.header.checksum_size, kWideChecksum);
    const uint64_t end = plain.bound();
    if (layout.stream_end() == end || (layout.stream_end() < end && starts_well(plain, layout))) {
        return;
    }
    layout.header.checksum_size = narrow;
}

}  // namespace

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

uint64_t PartcloneLayout::most_behind_end() const {
    return header.version == "0001" && used.used_count() < 2 ? kWideChecksum : 0;
}

PartcloneLayout read_partclone_layout(const Source& plain, CheckStrips when) {
    auto header = read_partclone_header(plain);
    auto used = read_used_blocks(plain, header);
    PartcloneLayout layout{std::move(header), std::move(used.bitmap), used.proof};
    if (when != CheckStrips::where_readable) {
        check_end(plain, layout);
    }
    find_checksum_size(plain, layout);
    return layout;
}

}  // namespace imgfs
