#include "fs/source/lzma_decoder.h"

#include <algorithm>
#include <cerrno>

#include "fs/base/error.h"

namespace imgfs {
Bytes lzma_state(LzmaMode mode, uint8_t kind) {
    return {std::byte{static_cast<uint8_t>(mode)}, std::byte{kind}};
}

LzmaStart lzma_start(const Source& packed, const SeekPoint& point) {
    LzmaStart start{.place = {.packed = point.packed_bit / 8}};
    if (!point.state.empty()) {
        const auto mode = std::to_integer<uint8_t>(point.state[0]);
        if (point.state.size() != 2 || mode > 1) {
            fail_damaged(packed, start.place.packed, "no seek point is as that in the index");
        }
        start.mode = LzmaMode{mode};
        start.place.kind = std::to_integer<uint8_t>(point.state[1]);
    }
    return start;
}

void LzmaDecoder::next_unit() {
    if (!units_->next()) {
        fail_cut_short(units_->packed());
    }
}

void LzmaDecoder::load_unit() {
    next_unit();
    std::deque<Bytes> pieces;  // given out only when all of them are good
    if (!units_->decode_whole(kWholeUnit, pieces)) {
        fail_damaged(units_->packed(), units_->place().packed,
                     "more is packed there than the stream's own list says");
    }
    loaded_ = std::move(pieces);
}

void LzmaDecoder::read(ByteSpan out) {
    if (mode_ == LzmaMode::streamed) {
        return read_streamed(out);
    }
    while (!out.empty()) {
        while (loaded_.empty()) {  // a unit may be empty
            load_unit();
        }
        const auto bytes = ConstByteSpan(loaded_.front()).subspan(given_);
        const auto count = std::min(bytes.size(), out.size());
        std::ranges::copy(bytes.first(count), out.begin());
        out = out.subspan(count);
        given_ += count;
        if (given_ == loaded_.front().size()) {
            loaded_.pop_front();
            given_ = 0;
        }
    }
}

/// Of the dictionary, what is never decoded is never touched.
uint64_t LzmaDecoder::memory(uint64_t length) const {
    const auto whole = mode_ == LzmaMode::whole ? std::min(length, kWholeUnit) : 0;
    return whole + std::min(unit_memory_, length + kMiB);
}

void LzmaDecoder::read_streamed(ByteSpan out) {
    while (!out.empty()) {
        if (!in_unit_) {
            next_unit();
        }
        const auto count = units_->decode(out);
        in_unit_ = count == out.size();
        out = out.subspan(count);
    }
}

std::unique_ptr<Decoder> open_lzma_units(const LzmaFormat& format, const Source& packed,
                                         const SeekPoint& point) {
    const auto start = lzma_start(packed, point);
    return std::make_unique<LzmaDecoder>(format.units(packed, start.place), start.mode,
                                         lzma_unit_memory(format, packed, start.place));
}

}  // namespace imgfs
