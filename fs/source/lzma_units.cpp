#include "fs/source/lzma_units.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <new>

#include "fs/base/error.h"
#include "fs/base/text.h"

namespace imgfs {
namespace {

constexpr size_t kReadSize = 64 * kKiB;
constexpr size_t kPieceSize = 64 * kKiB;

}  // namespace

LzmaUnits::LzmaUnits(const Source& packed, const LzmaPlace& place)
    : packed_(packed),
      reader_(packed, std::min(place.packed, packed.size()), kReadSize),
      place_(place) {}

LzmaUnits::~LzmaUnits() {
    lzma_end(&stream_);
}

void LzmaUnits::enter(lzma_ret result) {
    if (result != LZMA_OK) {
        throw std::bad_alloc();
    }
    in_unit_ = true;
}

void LzmaUnits::fail_memory(uint64_t needed) const {
    fail(ENOTSUP, packed_.place(place_.packed) + ": to decode it takes " + format_size(needed) +
                      " of memory, and imgfs takes no more than " + format_size(kLzmaMemory) +
                      "; unpack the image");
}

size_t LzmaUnits::decode(ByteSpan out) {
    stream_.next_out = reinterpret_cast<uint8_t*>(out.data());
    stream_.avail_out = out.size();
    while (in_unit_ && stream_.avail_out > 0) {
        run();
    }
    return out.size() - stream_.avail_out;
}

bool LzmaUnits::decode_whole(uint64_t most, std::deque<Bytes>& pieces) {
    for (uint64_t made = 0; made <= most; made += kPieceSize) {
        Bytes piece(kPieceSize);
        piece.resize(decode(piece));
        const bool ended = piece.size() < kPieceSize;
        if (!piece.empty()) {
            pieces.push_back(std::move(piece));
        }
        if (ended) {
            return true;
        }
    }
    return false;
}

uint64_t LzmaUnits::memory() const {
    return std::max<uint64_t>(lzma_memusage(&stream_), block_memory_);
}

void LzmaUnits::run() {
    const auto piece = reader_.available();
    const auto room = stream_.avail_out;
    stream_.next_in = reinterpret_cast<const uint8_t*>(piece.data());
    stream_.avail_in = piece.size();
    const auto result = lzma_code(&stream_, LZMA_RUN);
    reader_.take(piece.size() - stream_.avail_in);
    switch (result) {
        case LZMA_OK:
            break;
        case LZMA_STREAM_END:
            in_unit_ = false;
            return;
        case LZMA_BUF_ERROR:
            break;
        case LZMA_MEM_ERROR:
            throw std::bad_alloc();
        case LZMA_MEMLIMIT_ERROR:
            fail_memory(lzma_memusage(&stream_));
        default:
            reader_.fail_damaged("what is packed there can't be decoded or its checksum is wrong");
    }
    if (piece.empty() && stream_.avail_out == room) {
        reader_.fail_at_end();
    }
}

uint64_t lzma_unit_memory(const LzmaFormat& format, const Source& packed, const LzmaPlace& place) {
    const auto units = format.units(packed, place);
    std::array<std::byte, 1> first{};  // liblzma reads some headers only with it
    if (units->next()) {
        units->decode(first);
    }
    return units->memory();
}

}  // namespace imgfs
