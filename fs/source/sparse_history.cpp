#include "fs/source/sparse_history.h"

#include "fs/source/gzip_decoder.h"

namespace imgfs {
namespace {

void label(ByteSpan bytes, unsigned shift) {
    for (size_t i = 0; i < bytes.size(); ++i) {
        bytes[i] = static_cast<std::byte>(i >> shift);
    }
}

}  // namespace

HistorySieve::HistorySieve()
    : inflater_(make_inflater(InflateEngine::fastest, Stops::where_full)) {}

/// The first 32 KiB of plain bytes, or all up to the end of the deflate stream.
bool HistorySieve::decode_start(ConstByteSpan packed, unsigned past, ConstByteSpan history,
                                Bytes& plain) {
    const auto value = past == 0 ? 0U : std::to_integer<unsigned>(packed[0]) >> past;
    inflater_->resume(history, past == 0 ? 0 : 8 - past, value);
    packed = packed.subspan(past == 0 ? 0 : 1);
    plain.resize(kDeflateHistory);
    size_t made = 0;
    while (made < plain.size()) {
        const auto step = inflater_->step(packed, ByteSpan(plain).subspan(made));
        packed = packed.subspan(step.taken);
        made += step.made;
        if (step.at_end) {
            plain.resize(made);
            return true;
        }
        if (step.damaged || (step.made == 0 && packed.empty())) {
            return false;
        }
    }
    return true;
}

// A match reaches 32 KiB back at most, so only what stands in the first 32 KiB can be a copy of the
// history. Decoding these with the history's positions in its place, once their low bytes and once
// their high bytes, tells for each plain byte which position it would be a copy of; where that
// agrees with all three, it may be one. A byte too many may stay, never one too few.
Bytes HistorySieve::sparse(ConstByteSpan packed, unsigned past, Bytes history) {
    if (packed.empty() || !decode_start(packed, past, history, plain_)) {
        return history;
    }
    labels_.resize(history.size());
    label(labels_, 0);
    const bool has_low = decode_start(packed, past, labels_, low_);
    label(labels_, 8);
    if (!has_low || !decode_start(packed, past, labels_, high_) || low_.size() != plain_.size() ||
        high_.size() != plain_.size()) {
        return history;
    }
    Bytes sparse(history.size());
    for (size_t i = 0; i < plain_.size(); ++i) {
        const auto position =
            std::to_integer<size_t>(high_[i]) << 8 | std::to_integer<size_t>(low_[i]);
        if (position < history.size() && history[position] == plain_[i]) {
            sparse[position] = history[position];
        }
    }
    return sparse;
}

}  // namespace imgfs
