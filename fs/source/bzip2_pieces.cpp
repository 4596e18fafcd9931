#include "fs/source/bzip2_pieces.h"

#include <array>
#include <utility>

namespace imgfs {
namespace {

using Kind = Bzip2Piece::Kind;
using Cut = Bzip2Piece::Cut;

constexpr uint64_t kMarkMask = (uint64_t{1} << kBzip2MarkBits) - 1;

bool is_mark(uint64_t bits) {
    return bits == kBzip2Block || bits == kBzip2End;
}

/// Of a window of 64 bits, those at 8 to 23: all lie inside a mark that ends in the window's last
/// byte, so few values of them can belong to one.
using Middles = std::array<bool, 65536>;
constexpr Middles find_middles() {
    Middles middles{};
    for (const auto mark : {kBzip2Block, kBzip2End}) {
        for (unsigned past = 0; past < 8; ++past) {
            middles[(mark >> (8 - past)) & 0xffff] = true;
        }
    }
    return middles;
}
constexpr Middles kMiddles = find_middles();

/// Bits of the last byte behind a mark that ends in it; 8 if there is none.
unsigned bits_behind_mark(uint64_t window) {
    unsigned past = 0;
    while (past < 8 && !is_mark((window >> past) & kMarkMask)) {
        ++past;
    }
    return past;
}

Kind kind_of(const Bzip2Piece& piece) {
    constexpr uint32_t kMagic = 'B' << 16 | 'Z' << 8 | 'h';
    const auto there = piece.bytes.size() * 8 - piece.start_bit % 8;
    if (piece.start_bit % 8 == 0 && there >= 24 && piece.number(0, 24) == kMagic) {
        return Kind::header;
    }
    if (there < kBzip2MarkBits) {
        return Kind::other;
    }
    const auto mark = uint64_t{piece.number(0, 24)} << 24 | piece.number(24, 24);
    return mark == kBzip2Block ? Kind::block : mark == kBzip2End ? Kind::end : Kind::other;
}

}  // namespace

uint32_t Bzip2Piece::number(uint64_t bit, unsigned count) const {
    uint32_t value = 0;
    bit += start_bit % 8;
    for (const auto end = bit + count; bit < end; ++bit) {
        const auto byte = std::to_integer<unsigned>(bytes[bit / 8]);
        value = value << 1 | ((byte >> (7 - bit % 8)) & 1);
    }
    return value;
}

void Bzip2Piece::append(const Bzip2Piece& next) {
    if (end_bit % 8 != 0) {
        bytes.pop_back();  // `next` has it too
    }
    bytes.insert(bytes.end(), next.bytes.begin(), next.bytes.end());
    end_bit = next.end_bit;
    cut = next.cut;
}

Bzip2Pieces::Bzip2Pieces(const Source& packed, uint64_t start_bit, size_t read_size)
    : reader_(packed, start_bit / 8, read_size) {
    piece_.start_bit = start_bit;
    const auto needed = (start_bit % 8 + kBzip2MarkBits + 7) / 8;
    piece_.bytes = reader_.bytes(std::min<uint64_t>(needed, reader_.left()));
    for (const auto byte : piece_.bytes) {
        window_ = window_ << 8 | std::to_integer<uint64_t>(byte);
    }
    piece_.kind = kind_of(piece_);
}

std::optional<Bzip2Piece> Bzip2Pieces::next() {
    if (ended_) {
        return std::nullopt;
    }
    while (piece_.bytes.size() < kLargestBzip2Piece) {
        const auto bytes = reader_.available();
        if (bytes.empty()) {
            ended_ = true;
            return cut(Cut::at_end_of_source, reader_.offset() * 8);
        }
        const auto count = bytes_up_to_mark(bytes);
        piece_.bytes.insert(piece_.bytes.end(), bytes.begin(),
                            bytes.begin() + std::ptrdiff_t(count));
        reader_.take(count);
        const auto past = bits_behind_mark(window_);
        const auto mark = reader_.offset() * 8 - past - kBzip2MarkBits;
        const auto least = piece_.kind == Kind::header ? kBzip2HeaderBits : kBzip2Smallest;
        if (past < 8 && mark >= piece_.start_bit + least) {
            return cut(Cut::at_mark, mark);
        }
    }
    return cut(Cut::too_long, reader_.offset() * 8);
}

/// Of `bytes`, those up to the one in which the next mark ends; all if there is none.
size_t Bzip2Pieces::bytes_up_to_mark(ConstByteSpan bytes) {
    for (size_t i = 0; i < bytes.size(); ++i) {
        window_ = window_ << 8 | std::to_integer<uint64_t>(bytes[i]);
        if (kMiddles[(window_ >> 8) & 0xffff] && bits_behind_mark(window_) < 8) {
            return i + 1;
        }
    }
    return bytes.size();
}

/// The piece is complete; the next starts there.
Bzip2Piece Bzip2Pieces::cut(Cut cut, uint64_t end_bit) {
    Bzip2Piece next{.kind = Kind::other, .start_bit = end_bit, .end_bit = end_bit};
    const auto first = piece_.start_bit / 8;
    next.bytes.assign(piece_.bytes.begin() + std::ptrdiff_t(end_bit / 8 - first),
                      piece_.bytes.end());
    if (cut == Cut::at_mark) {
        next.kind = kind_of(next);
    }
    piece_.bytes.resize((end_bit + 7) / 8 - first);
    piece_.end_bit = end_bit;
    piece_.cut = cut;
    return std::exchange(piece_, std::move(next));
}

}  // namespace imgfs
