#include "fs/source/zstd_state.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <random>

#include "fs/source/zstd.h"
#include "fs/source/zstd_frame.h"
#include "tests/support/codec_contract.h"
#include "tests/support/memory_source.h"
#include "tests/support/packed.h"
#include "tests/support/thrown.h"

namespace imgfs {
namespace {

const Codec& kZstd = codec_named("zstd");

/// Lines of a log: much of each is as in the one before, at the same distance.
Bytes log_lines(size_t size) {
    constexpr std::array kWords = {"kernel", "mounted", "device", "sda1",
                                   "image",  "block",   "error"};
    std::mt19937_64 random(5);
    std::string text;
    for (uint64_t line = 0; text.size() < size; ++line) {
        text += std::to_string(1'700'000'000 + line * 7) + " host " + kWords[random() % 7];
        text += ": " + std::string(kWords[random() % 7]) + " ";
        text += std::to_string(random() % 100'000) + "\n";
    }
    return to_bytes(text);
}

/// The same history, another place.
SeekPoint with_place(const SeekPoint& point, const std::function<void(ZstdPlace&)>& change) {
    const auto state = unpacked_zstd_state(point.state);
    const auto plain =
        ConstByteSpan(state.dictionary).subspan(zstd_dictionary_start(state.place).size());
    PlainHistory all(state.place.window);
    all.keep(plain);
    SparseHistory history(plain.size(), state.place.window);
    history.mark(0, plain.size(), all);
    auto place = state.place;
    change(place);
    return {point.plain, point.packed_bit, *packed_zstd_state(place, history)};
}

/// How many points with a state lead to the right bytes, and to others, after the change.
struct Outcome {
    int right = 0;
    int wrong = 0;
};

Outcome decode_with(const MemorySource& source, const std::vector<SeekPoint>& points,
                    const Bytes& plain, const std::function<void(ZstdPlace&)>& change) {
    Outcome outcome;
    for (const auto& point : points) {
        if (point.state.empty()) {
            continue;
        }
        Bytes out(std::min<size_t>(3 * kMiB, plain.size() - point.plain));
        const bool failed =
            error_of([&] { open_zstd(source, with_place(point, change))->read(out); }) != 0;
        const bool right = !failed && std::ranges::equal(out, ConstByteSpan(plain).subspan(
                                                                  point.plain, out.size()));
        ++(right ? outcome.right : outcome.wrong);
    }
    return outcome;
}

// Invariant 2: what a state holds is needed, and tests that compare segments see it missing.
TEST(ZstdStateTest, NothingOfAStateCanBeLeftOut) {
    const auto plain = log_lines(14 * kMiB);
    const MemorySource packed(packed_by("zstd -6 --single-thread", plain));
    const auto points = record_pass(kZstd, packed, {.dense = true}).points;
    const auto same = decode_with(packed, points, plain, [](ZstdPlace&) {});
    EXPECT_GE(same.right, 2);
    EXPECT_EQ(same.wrong, 0);
    const auto offsets = decode_with(packed, points, plain, [](ZstdPlace& place) {
        place.repeats = {1, 4, 8};
    });
    EXPECT_GE(offsets.wrong, 1);
    const auto huffman =
        decode_with(packed, points, plain, [](ZstdPlace& place) { place.tables.huffman = {}; });
    const auto sequences =
        decode_with(packed, points, plain, [](ZstdPlace& place) { place.tables.sequences = {}; });
    EXPECT_GE(huffman.wrong + sequences.wrong, 1);
}

TEST(ZstdStateTest, WhatAStateNeedsIsKnownBeforeItIsUnpacked) {
    const auto plain = log_lines(14 * kMiB);
    const MemorySource packed(packed_by("zstd -6 --single-thread", plain));
    for (const auto& point : record_pass(kZstd, packed, {.dense = true}).points) {
        if (point.state.empty()) {
            continue;
        }
        const auto needs = needs_of_zstd_state(point);
        const auto state = unpacked_zstd_state(point.state);
        EXPECT_EQ(needs.window, state.place.window);
        EXPECT_GE(needs.dictionary + kKiB, state.dictionary.size());
        EXPECT_LE(needs.dictionary, 2 * state.place.window) << "with the record";
        const auto decoder = open_zstd(packed, point);
        EXPECT_GE(decoder->memory(64 * kKiB), needs.dictionary);
        EXPECT_LT(decoder->memory(64 * kKiB), needs.dictionary + 2 * kMiB);
        EXPECT_GE(decoder->memory(kGiB), needs.dictionary + needs.window);
        const auto forged =
            with_place(point, [&](ZstdPlace& place) { place.frame_start = point.plain - kKiB; });
        EXPECT_EQ(error_of([&] { open_zstd(packed, forged); }), EUCLEAN)
            << "a history that is longer than what stands before it";
    }
    const SeekPoint early{.plain = 3,
                          .state = *packed_zstd_state({.window = 2 * kMiB, .repeats = {1, 4, 8}},
                                                      SparseHistory(3, 2 * kMiB))};
    EXPECT_EQ(needs_of_zstd_state(early).window, 2 * kMiB) << "a frame's first offsets";
    const auto frame = open_zstd(packed, {});
    EXPECT_GE(frame->memory(kGiB), 2 * kMiB) << "the window that the frame's header says";
    EXPECT_LT(frame->memory(kGiB), 5 * kMiB);
}

Bytes block(ZstdBlockHeader::Kind kind, uint32_t size, ConstByteSpan body) {
    const auto value = size << 3 | static_cast<uint32_t>(kind) << 1;
    Bytes bytes(4);
    store(bytes, 0, value);
    bytes.resize(kZstdBlockHeader);
    return joined(std::move(bytes), body);
}

Bytes raw_block(uint64_t seed) {
    return block(ZstdBlockHeader::Kind::raw, kZstdBlockMost, noise(kZstdBlockMost, seed));
}

/// Three literals and a match of three bytes, four bytes back; tables from `description`.
Bytes match_block(std::string_view description) {
    const auto body = joined(to_bytes("\x18"
                                      "abc\x01"),
                             joined(to_bytes(description), to_bytes("\x07")));
    return block(ZstdBlockHeader::Kind::compressed, static_cast<uint32_t>(body.size()), body);
}

constexpr std::string_view kRleTables("\x54\x03\x02\x00", 4);
constexpr std::string_view kRepeatTables("\xfc");

// Invariant 3. libzstd never writes a Repeat behind an RLE table, but reads it.
TEST(ZstdStateTest, APointThatADictionaryCannotHoldIsNotTaken) {
    auto packed = to_bytes(std::string_view("\x28\xb5\x2f\xfd\0\x60", 6));  // a window of 4 MiB
    for (int i = 0; i < 31; ++i) {
        packed = joined(std::move(packed), raw_block(i));
    }
    packed = joined(std::move(packed), match_block(kRleTables));
    packed = joined(std::move(packed), raw_block(31));
    packed = joined(std::move(packed), match_block(kRepeatTables));  // due here, but doubtful
    packed = joined(std::move(packed), raw_block(32));               // so is this
    packed = joined(std::move(packed), match_block(kRepeatTables));
    packed = joined(std::move(packed), raw_block(33));  // here the doubt is unfounded
    packed = joined(std::move(packed), match_block(kRleTables));
    packed = joined(std::move(packed), match_block(kRepeatTables));
    packed = joined(std::move(packed), to_bytes(std::string_view("\x01\0\0", 3)));
    const auto plain = packed_by("zstd -dc", packed);
    const auto points = record_pass(kZstd, MemorySource(packed), {.dense = true}).points;
    ASSERT_EQ(points.size(), 2U);
    EXPECT_EQ(points[1].plain, 33 * kZstdBlockMost + 3 * 6);
    expect_keeps_codec_contract(kZstd, packed, plain, {.dense = true});
}

}  // namespace
}  // namespace imgfs
