#include "fs/source/sparse_history.h"

#include <functional>
#include <optional>

#include "fs/source/gzip_decoder.h"

namespace imgfs {
namespace {

/// The first 32 KiB of plain bytes, or all up to the end of the deflate stream.
std::optional<Bytes> decode_start(ConstByteSpan packed, unsigned past, ConstByteSpan history) {
    const auto inflater = make_inflater(InflateEngine::fastest, Stops::where_full);
    const auto value = past == 0 ? 0U : std::to_integer<unsigned>(packed[0]) >> past;
    inflater->resume(history, past == 0 ? 0 : 8 - past, value);
    packed = packed.subspan(past == 0 ? 0 : 1);
    Bytes plain(kDeflateHistory);
    size_t made = 0;
    while (made < plain.size()) {
        const auto step = inflater->step(packed, ByteSpan(plain).subspan(made));
        packed = packed.subspan(step.taken);
        made += step.made;
        if (step.at_end) {
            plain.resize(made);
            return plain;
        }
        if (step.damaged || (step.made == 0 && packed.empty())) {
            return std::nullopt;
        }
    }
    return plain;
}

Bytes labels(size_t count, unsigned shift) {
    Bytes bytes(count);
    for (size_t i = 0; i < count; ++i) {
        bytes[i] = static_cast<std::byte>(i >> shift);
    }
    return bytes;
}

}  // namespace

// A match reaches 32 KiB back at most, so only what stands in the first 32 KiB can be a copy of the
// history. Decoding these with the history's positions in its place, once their low bytes and once
// their high bytes, tells for each plain byte which position it would be a copy of; where that
// agrees with all three, it may be one. A byte too many may stay, never one too few.
Bytes sparse_history(ConstByteSpan packed, unsigned past, Bytes history) {
    if (packed.empty()) {
        return history;
    }
    const auto plain = decode_start(packed, past, history);
    const auto low = decode_start(packed, past, labels(history.size(), 0));
    const auto high = decode_start(packed, past, labels(history.size(), 8));
    if (!plain || !low || !high || low->size() != plain->size() || high->size() != plain->size()) {
        return history;
    }
    Bytes sparse(history.size());
    for (size_t i = 0; i < plain->size(); ++i) {
        const auto position =
            std::to_integer<size_t>((*high)[i]) << 8 | std::to_integer<size_t>((*low)[i]);
        if (position < history.size() && history[position] == (*plain)[i]) {
            sparse[position] = history[position];
        }
    }
    return sparse;
}

}  // namespace imgfs
