#include "fs/source/packed_reader.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include "fs/base/error.h"
#include "fs/source/cut_short.h"

namespace imgfs {

void fail_damaged(const Source& packed, uint64_t offset, const std::string& what) {
    fail(EUCLEAN, packed.place(offset) + ": " + what + "; the stream is damaged there");
}

void fail_cut_short(const Source& packed) {
    throw CutShort(packed.place(packed.size()) +
                   ": the stream ends too early; a part is missing or cut short");
}

size_t read_up_to_damage(const Source& packed, uint64_t offset, ByteSpan out) {
    for (;; out = out.first(out.size() / 2)) {
        try {
            packed.read(offset, out);
            return out.size();
        } catch (const std::system_error& error) {
            if (error.code().value() != EUCLEAN || out.size() < 2) {
                throw;
            }
        }
    }
}

PackedReader::PackedReader(const Source& packed, uint64_t offset, size_t piece_size)
    : packed_(packed), piece_size_(piece_size), offset_(offset) {}

ConstByteSpan PackedReader::available() {
    if (start_ == piece_.size()) {
        offset_ += piece_.size();
        start_ = 0;
        piece_.resize(std::min<uint64_t>(piece_size_, left()));
        if (!piece_.empty()) {
            fill();
        }
    }
    return ConstByteSpan(piece_).subspan(start_);
}

void PackedReader::fill() {
    try {
        piece_.resize(read_up_to_damage(packed_, offset_, piece_));
    } catch (...) {
        piece_.clear();  // nobody takes it for what stands there
        throw;
    }
}

void PackedReader::go_to(uint64_t offset) {
    if (offset >= offset_ && offset - offset_ <= piece_.size()) {
        start_ = static_cast<size_t>(offset - offset_);
        return;
    }
    offset_ = offset;
    piece_.clear();
    start_ = 0;
}

uint8_t PackedReader::byte() {
    const auto bytes = available();
    if (bytes.empty()) {
        fail_at_end();
    }
    take(1);
    return std::to_integer<uint8_t>(bytes[0]);
}

void PackedReader::read(ByteSpan out) {
    while (!out.empty()) {
        const auto bytes = available();
        if (bytes.empty()) {
            fail_at_end();
        }
        const auto count = std::min(bytes.size(), out.size());
        std::ranges::copy(bytes.first(count), out.begin());
        take(count);
        out = out.subspan(count);
    }
}

Bytes PackedReader::bytes(uint64_t count, Bytes memory) {
    if (count > left()) {
        fail_at_end();
    }
    memory.resize(count);
    read(memory);
    return memory;
}

uint16_t PackedReader::be16() {
    const unsigned high = byte();
    return static_cast<uint16_t>(high << 8 | byte());
}

uint32_t PackedReader::be32() {
    const uint32_t high = be16();
    return high << 16 | be16();
}

uint32_t PackedReader::le32() {
    std::array<std::byte, 4> bytes{};
    read(bytes);
    return imgfs::le32(bytes, 0);
}

bool PackedReader::more_behind_zeros() {
    for (auto bytes = available(); !bytes.empty(); bytes = available()) {
        const auto other =
            std::ranges::find_if(bytes, [](std::byte b) { return b != std::byte{}; });
        take(static_cast<size_t>(other - bytes.begin()));
        if (other != bytes.end()) {
            return true;
        }
    }
    return false;
}

void PackedReader::fail_at_end() const {
    fail_cut_short(packed_);
}

void PackedReader::fail_damaged(const std::string& what) const {
    imgfs::fail_damaged(packed_, offset(), what);
}

}  // namespace imgfs
