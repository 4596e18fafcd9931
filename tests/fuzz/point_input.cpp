#include "tests/fuzz/point_input.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>

#include "fs/base/error.h"
#include "fs/source/codec.h"
#include "fs/source/packed_state.h"
#include "tests/fuzz/stream_input.h"
#include "tests/support/codec_contract.h"
#include "tests/support/memory_source.h"
#include "tests/support/packed.h"

namespace imgfs {
namespace {

constexpr size_t kFields = 7;  // of the input, before the state
constexpr size_t kMostPlain = 160'000;
constexpr uint64_t kMostState = 4 * kMiB;

/// How a codec's states are laid out: so many bytes, then some that are compressed.
struct StateForm {
    std::string_view codec;
    size_t fields;
};
constexpr auto kAll = SIZE_MAX;  // nothing is
constexpr std::array<StateForm, 8> kForms = {{{"zstd", 0},
                                              {"gzip", 13},
                                              {"lz4", 60},
                                              {"bzip2", kAll},
                                              {"lzop", kAll},
                                              {"xz", kAll},
                                              {"lzip", kAll},
                                              {"lzma", kAll}}};

Bytes packed_state(const StateForm& form, ConstByteSpan state) {
    if (state.size() < form.fields || state.empty()) {
        return {state.begin(), state.end()};
    }
    Bytes packed(state.begin(), state.begin() + static_cast<ptrdiff_t>(form.fields));
    const auto rest = pack_state(state.subspan(form.fields));
    packed.insert(packed.end(), rest.begin(), rest.end());
    return packed;
}

Bytes unpacked_state(const StateForm& form, const Bytes& state) {
    if (state.size() <= form.fields) {
        return state;
    }
    Bytes unpacked(state.begin(), state.begin() + static_cast<ptrdiff_t>(form.fields));
    const auto rest = unpack_state(ConstByteSpan(state).subspan(form.fields), kMostState);
    unpacked.insert(unpacked.end(), rest.begin(), rest.end());
    return unpacked;
}

/// Up to the stream.
Bytes input_of(size_t form, uint64_t packed_bit, ConstByteSpan state) {
    Bytes input(kFields);
    input[0] = static_cast<std::byte>(form);
    store(input, 1, static_cast<uint32_t>(packed_bit));
    store(input, 5, static_cast<uint16_t>(state.size()));
    return joined(std::move(input), state);
}

/// In steps of so many bytes, as many as there are; nothing if it tells of damage at once.
std::optional<Bytes> decoded(const Codec& codec, const Source& packed, const SeekPoint& point,
                             size_t step) {
    Bytes out;
    try {
        const auto decoder = codec.open(packed, point);
        while (out.size() < kMostPlain) {
            Bytes piece(step);
            decoder->read(piece);
            out.insert(out.end(), piece.begin(), piece.end());
        }
    } catch (const std::system_error& error) {
        EXPECT_TRUE(errno_of(error) == EUCLEAN || errno_of(error) == ENOTSUP) << message_of(error);
    }
    return out;
}

void expect_no_harm(const Codec& codec, const Source& packed, SeekPoint point) {
    const auto whole = decoded(codec, packed, point, kMostPlain / 8);
    point.next_bit = packed.size() * 8;
    point.end = point.plain + kMostPlain;
    const auto pieces = decoded(codec, packed, point, kMostPlain / 80);
    if (whole && pieces) {
        const auto length = std::min(whole->size(), pieces->size());
        EXPECT_TRUE(std::equal(whole->begin(), whole->begin() + static_cast<ptrdiff_t>(length),
                               pieces->begin()));
    }
    for (const uint64_t offset : {uint64_t{1}, 5 * kMiB}) {
        point.plain = offset;
        const auto outcome =
            try_pass(codec, packed, {}, {point, [](uint64_t, ByteSpan) {}}, kMostPlain);
        EXPECT_TRUE(outcome.error == 0 || outcome.error == EUCLEAN || outcome.error == ENOTSUP)
            << outcome.line;
    }
}

}  // namespace

void run_point(std::string_view /*target*/, ConstByteSpan input) {
    if (input.size() < kFields) {
        return;
    }
    const auto& form = kForms[std::to_integer<size_t>(input[0]) % kForms.size()];
    const auto size = std::min<size_t>(le16(input, 5), input.size() - kFields);
    const SeekPoint point{.plain = 0,
                          .packed_bit = le32(input, 1),
                          .state = packed_state(form, input.subspan(kFields, size))};
    const auto packed = input.subspan(kFields + size);
    expect_no_harm(codec_named(form.codec), MemorySource(Bytes(packed.begin(), packed.end())),
                   point);
}

std::vector<Bytes> point_seeds(std::string_view /*target*/) {
    std::vector<Bytes> seeds;
    for (size_t number = 0; number < kForms.size(); ++number) {
        const auto& codec = codec_named(kForms[number].codec);
        bool at_start = true;  // one of these is enough
        for (const auto& packed : stream_seeds(codec.name)) {
            for (const auto& point :
                 record_pass(codec, MemorySource(packed), {.dense = true}).points) {
                const auto state = unpacked_state(kForms[number], point.state);
                if ((point.plain > 0 || at_start) && state.size() <= 6 * kKiB) {
                    seeds.push_back(joined(input_of(number, point.packed_bit, state), packed));
                    at_start = false;
                }
            }
        }
    }
    return seeds;
}

}  // namespace imgfs
