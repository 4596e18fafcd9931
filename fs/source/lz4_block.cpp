#include "fs/source/lz4_block.h"

#include <lz4.h>

#include "fs/source/packed_state.h"

namespace imgfs {
namespace {

// A state: 1 if legacy (1), flags (1), size code (1), 1 if incomplete plus 2 if irregular (1),
// content size (8), plain bytes of the frame before it (8), the running checksum; then the history,
// packed.
constexpr size_t kChecksumOffset = 20;
constexpr size_t kHistoryOffset = kChecksumOffset + Xxh32::kStateSize;

constexpr size_t kWindowBlocks = kMiB;  // as many plain bytes before the history is moved

const char* chars(ConstByteSpan bytes) {
    return reinterpret_cast<const char*>(bytes.data());
}

bool agrees(const Lz4Block& block) {
    return !block.checksum || *block.checksum == xxh32(block.packed);
}

std::optional<size_t> copy_stored(const Lz4Block& block, ByteSpan out) {
    if (block.packed.size() > out.size()) {
        return std::nullopt;
    }
    std::ranges::copy(block.packed, out.begin());
    return block.packed.size();
}

std::optional<size_t> size_if_good(int result) {
    return result < 0 ? std::nullopt : std::optional(static_cast<size_t>(result));
}

}  // namespace

std::optional<size_t> decode_lz4(const Lz4Block& block, ConstByteSpan history, ByteSpan out) {
    if (!agrees(block)) {
        return std::nullopt;
    }
    if (block.stored) {
        return copy_stored(block, out);
    }
    return size_if_good(::LZ4_decompress_safe_usingDict(
        chars(block.packed), reinterpret_cast<char*>(out.data()),
        static_cast<int>(block.packed.size()), static_cast<int>(out.size()), chars(history),
        static_cast<int>(history.size())));
}

void fail_lz4_block(const Source& packed, uint64_t offset) {
    fail_damaged(packed, offset, "a block that can't be decoded or disagrees with its checksum");
}

Lz4Window::Lz4Window(const Lz4Frame& frame, ConstByteSpan history)
    : block_size_(frame.block_size()),
      buffer_(kLz4History + std::max(block_size_, kWindowBlocks)),
      filled_(history.size()) {
    std::ranges::copy(history, buffer_.begin());
}

std::optional<ConstByteSpan> Lz4Window::decode(const Lz4Block& block) {
    if (buffer_.size() - filled_ < block_size_) {
        const auto kept = history();
        std::ranges::copy(kept, buffer_.begin());
        filled_ = kept.size();
    }
    const auto out = ByteSpan(buffer_).subspan(filled_, block_size_);
    const auto made = decode_lz4(block, history(), out);
    if (!made) {
        return std::nullopt;
    }
    filled_ += *made;
    return out.first(*made);
}

ConstByteSpan Lz4Window::history() const {
    const auto count = std::min(filled_, kLz4History);
    return ConstByteSpan(buffer_).subspan(filled_ - count, count);
}

Bytes Lz4Place::state() const {
    Bytes state(kChecksumOffset);
    state[0] = static_cast<std::byte>(frame.legacy);
    state[1] = static_cast<std::byte>(frame.flags);
    state[2] = static_cast<std::byte>(frame.size_code);
    state[3] = static_cast<std::byte>((incomplete ? 1 : 0) | (irregular ? 2 : 0));
    store(state, 4, frame.content_size);
    store(state, 12, frame_plain);
    const auto running = checksum.state();
    state.insert(state.end(), running.begin(), running.end());
    if (!history.empty()) {
        const auto packed = pack_state(history);
        state.insert(state.end(), packed.begin(), packed.end());
    }
    return state;
}

std::optional<Lz4Place> lz4_place(const SeekPoint& point) {
    if (point.state.empty()) {
        return std::nullopt;
    }
    const ConstByteSpan state = point.state;
    if (state.size() < kHistoryOffset) {
        fail_damaged_index();
    }
    Lz4Place place{.frame = {.legacy = state[0] != std::byte{},
                             .flags = std::to_integer<uint8_t>(state[1]),
                             .size_code = std::to_integer<uint8_t>(state[2]),
                             .content_size = le64(state, 4)},
                   .frame_plain = le64(state, 12),
                   .incomplete = (state[3] & std::byte{1}) != std::byte{},
                   .irregular = (state[3] & std::byte{2}) != std::byte{},
                   .checksum = Xxh32(state.subspan(kChecksumOffset, Xxh32::kStateSize))};
    if (!place.frame.is_valid()) {
        fail_damaged_index();
    }
    if (state.size() > kHistoryOffset) {
        place.history = unpack_state(state.subspan(kHistoryOffset), kLz4History);
    }
    return place;
}

}  // namespace imgfs
