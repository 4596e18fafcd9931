#include "fs/source/stream_packer.h"

#include <algorithm>
#include <utility>

namespace imgfs {
namespace {

constexpr uint64_t kPiecesAtOnce = 4;  // for each thread: some wait, some are being packed

uint64_t memory_of(const Packing& packing) {
    const auto threads = std::max(std::thread::hardware_concurrency(), 1U);
    return kPiecesAtOnce * threads * 2 * packing.piece_size;
}

PackedPiece describe(ConstByteSpan packed, size_t plain) {
    return {.packed = static_cast<uint32_t>(packed.size()),
            .plain = static_cast<uint32_t>(plain),
            .last = packed.size() < 4 ? 0 : le32(packed, packed.size() - 4)};
}

}  // namespace

StreamPacker::StreamPacker(const Packing& packing, int level, Write write)
    : packing_(packing), level_(level), write_(std::move(write)), jobs_(memory_of(packing)) {}

void StreamPacker::add(ConstByteSpan plain) {
    while (!plain.empty()) {
        const auto part = plain.first(std::min(plain.size(), packing_.piece_size - piece_.size()));
        piece_.reserve(packing_.piece_size);
        piece_.insert(piece_.end(), part.begin(), part.end());
        if (piece_.size() == packing_.piece_size) {
            pack_piece();
        }
        plain = plain.subspan(part.size());
    }
}

void StreamPacker::pack_piece() {
    const auto held = 2 * piece_.size();
    jobs_.add(held, [this, plain = std::exchange(piece_, {})]() -> OrderedJobs::Report {
        return [this, size = plain.size(), packed = packing_.pack(plain, level_)] {
            pieces_.push_back(describe(packed, size));
            write_(packed);
        };
    });
}

void StreamPacker::finish() {
    if (!piece_.empty()) {
        pack_piece();
    }
    jobs_.finish();
    write_(packing_.end(pieces_));
}

}  // namespace imgfs
