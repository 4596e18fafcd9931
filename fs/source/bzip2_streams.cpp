#include "fs/source/bzip2_streams.h"

#include <bit>

namespace imgfs {
namespace {

using Kind = Bzip2Piece::Kind;
using Cut = Bzip2Piece::Cut;

constexpr unsigned kMostJoined = 8;  // one chance find in a block is rare enough

bool is_zero(const Bzip2Piece& piece, uint64_t bit) {
    const auto first = (piece.start_bit % 8 + bit) / 8;
    return std::ranges::all_of(ConstByteSpan(piece.bytes).subspan(first),
                               [](std::byte b) { return b == std::byte{}; });
}

/// Does what stands from `bit` of the piece on begin as a header, as far as it goes?
bool looks_like_header(const Bzip2Piece& piece, uint64_t bit) {
    constexpr std::string_view kMagic = "BZh";
    for (size_t i = 0; i < 4 && bit + i * 8 < piece.bits(); ++i) {
        const auto byte = piece.number(bit + i * 8, 8);
        const bool good =
            i < 3 ? byte == static_cast<unsigned char>(kMagic[i]) : byte >= '1' && byte <= '9';
        if (!good) {
            return false;
        }
    }
    return true;
}

}  // namespace

bool may_go_on(const Bzip2Piece& piece, unsigned joined) {
    return piece.cut == Cut::at_mark && joined < kMostJoined &&
           piece.bytes.size() < kLargestBzip2Piece;
}

void Bzip2Streams::add_block(const Bzip2Piece& piece) {
    crc_ = std::rotl(crc_, 1) ^ piece.number(kBzip2MarkBits, kBzip2CrcBits);
}

bool Bzip2Streams::add_other(const Bzip2Piece& piece) {
    if (piece.kind == Kind::header) {
        check_header(piece, 0);
        return true;
    }
    if (piece.kind != Kind::end) {
        if (!in_padding_ || piece.cut == Cut::at_mark || !is_zero(piece, 0)) {
            fail_at(piece.start_bit, "neither a block nor an end of a bzip2 stream");
        }
        return true;
    }
    if (piece.bits() < kBzip2Smallest) {
        fail_cut_short(packed_);
    }
    const bool agrees = piece.number(kBzip2MarkBits, kBzip2CrcBits) == crc_;
    crc_ = 0;
    check_behind_end(piece, round_up(piece.start_bit + kBzip2Smallest, 8) - piece.start_bit);
    return agrees;
}

/// From `bit` of the piece on: nothing, zeros, or the next stream's header.
void Bzip2Streams::check_behind_end(const Bzip2Piece& piece, uint64_t bit) {
    if (bit >= piece.bits() ? piece.cut == Cut::at_end_of_source
                            : piece.cut != Cut::at_mark && is_zero(piece, bit)) {
        in_padding_ = true;
        return;
    }
    check_header(piece, bit);
}

void Bzip2Streams::check_header(const Bzip2Piece& piece, uint64_t bit) const {
    if (bit >= piece.bits() || !looks_like_header(piece, bit)) {
        fail_at(piece.start_bit + bit, "something that is no bzip2 follows the compressed data");
    }
    const auto length = piece.bits() - bit;
    if (piece.cut == Cut::at_end_of_source && length < kBzip2HeaderBits + kBzip2MarkBits) {
        fail_cut_short(packed_);
    }
    if (length != kBzip2HeaderBits) {
        fail_at(piece.start_bit + bit, "a bzip2 header without a block behind it");
    }
}

void Bzip2Streams::fail_block(const Bzip2Piece& piece, unsigned joined) const {
    if (piece.cut == Cut::at_end_of_source && joined == 1) {
        fail_cut_short(packed_);
    }
    fail_at(piece.start_bit, "a block that can't be decoded or disagrees with its checksum");
}

void Bzip2Streams::fail_at(uint64_t bit, const std::string& what) const {
    fail_damaged(packed_, bit / 8, what);
}

}  // namespace imgfs
