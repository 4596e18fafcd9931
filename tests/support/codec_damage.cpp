#include "tests/support/codec_damage.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <optional>
#include <random>

#include "fs/base/error.h"
#include "tests/support/codec_contract.h"
#include "tests/support/memory_source.h"
#include "tests/support/packed.h"

namespace imgfs {
namespace {

constexpr double kMostSeconds = 10;  // of processor time, for one pass

/// What a pass told; nothing if it ended with EUCLEAN and a place, anything else fails the test.
std::optional<PassRecord> pass_over(const Codec& codec, const Source& packed,
                                    std::string* line = nullptr) {
    const auto start = std::clock();
    auto outcome = try_pass(codec, packed);
    EXPECT_LT(static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC, kMostSeconds);
    if (outcome.error == 0) {
        return std::move(outcome.record);
    }
    EXPECT_EQ(outcome.error, EUCLEAN) << outcome.line;
    EXPECT_NE(outcome.line.find("memory: byte "), std::string::npos) << outcome.line;
    if (line != nullptr) {
        *line = outcome.line;
    }
    return std::nullopt;
}

/// Reads `size` bytes from a point on, as far as there are any; false at EUCLEAN.
bool decode(const Codec& codec, const Source& packed, const SeekPoint& point, Bytes& out) {
    try {
        const auto decoder = codec.open(packed, point);
        constexpr size_t kStep = 50'000;
        for (size_t at = 0; at < out.size(); at += kStep) {
            Bytes piece(std::min(kStep, out.size() - at));
            decoder->read(piece);
            std::ranges::copy(piece, out.begin() + static_cast<ptrdiff_t>(at));
        }
        return true;
    } catch (const std::system_error& error) {
        EXPECT_EQ(errno_of(error), EUCLEAN) << message_of(error);
        return false;
    }
}

/// How much is lost at the end may be something that a damaged field says.
bool right_where_known(const PassRecord& record, ConstByteSpan plain) {
    const bool end_is_lost = record.lost > 0 && record.unknown.back().end == record.plain.size();
    return (record.plain.size() == plain.size() || end_is_lost) && agrees(record, 0, plain);
}

void expect_decoders_give_no_wrong_byte(const Codec& codec, const Source& packed,
                                        const PassRecord& record, ConstByteSpan plain) {
    for (size_t i = 0; i < record.points.size(); ++i) {
        const auto start = record.points[i].plain;
        const auto end = i + 1 < record.points.size() ? record.points[i + 1].plain : plain.size();
        Bytes out(end - start);
        if (decode(codec, packed, record.points[i], out)) {
            ASSERT_TRUE(std::ranges::equal(out, plain.subspan(start, out.size())));
        }
    }
}

/// As many as the environment asks for.
int scaled(int count) {
    const char* const scale = std::getenv("IMGFS_DAMAGE_SCALE");
    return scale == nullptr ? count : count * std::stoi(scale);
}

Bytes with_flipped_bit(ConstByteSpan packed, std::mt19937_64& random) {
    Bytes bad(packed.begin(), packed.end());
    bad[random() % bad.size()] ^= static_cast<std::byte>(1U << random() % 8);
    return bad;
}

}  // namespace

void expect_bit_flips_are_found(const Codec& codec, ConstByteSpan packed, ConstByteSpan plain,
                                int count) {
    count = scaled(count);
    std::mt19937_64 random(21);
    int harmless = 0;
    for (int i = 0; i < count; ++i) {
        const MemorySource source(with_flipped_bit(packed, random));
        const auto record = pass_over(codec, source);
        if (!record || !record->mismatches.empty()) {
            continue;
        }
        ASSERT_TRUE(right_where_known(*record, plain)) << "flip " << i;
        harmless += static_cast<int>(record->lost + record->skipped == 0);
        if (record->skipped > 0) {
            expect_decoders_give_no_wrong_byte(codec, source, *record, plain);
        }
        ASSERT_FALSE(testing::Test::HasFatalFailure()) << "flip " << i;
    }
    EXPECT_LT(harmless, count / 10) << "flips that changed nothing";
}

void expect_bit_flips_do_no_harm(const Codec& codec, ConstByteSpan packed, int count) {
    count = scaled(count);
    std::mt19937_64 random(22);
    for (int i = 0; i < count; ++i) {
        const MemorySource source(with_flipped_bit(packed, random));
        if (const auto record = pass_over(codec, source)) {
            Bytes out(record->plain.size() - record->points.back().plain);
            decode(codec, source, record->points.back(), out);
        }
    }
}

void expect_truncation_is_told(const Codec& codec, ConstByteSpan packed, int count) {
    count = scaled(count);
    std::mt19937_64 random(23);
    for (int i = 0; i < count && !testing::Test::HasFailure(); ++i) {
        // Half of them near the start or the end, where most kinds of fields are.
        const auto near = std::min<size_t>(packed.size(), 200);
        const auto size = i % 4 == 0   ? random() % near
                          : i % 4 == 1 ? packed.size() - 1 - random() % near
                                       : random() % packed.size();
        if (!codec.starts(packed.first(std::min(size, kCodecStart)))) {
            continue;
        }
        const MemorySource source(Bytes(packed.begin(), packed.begin() + ptrdiff_t(size)));
        std::string line;
        EXPECT_FALSE(pass_over(codec, source, &line)) << "cut to " << size;
        EXPECT_NE(line.find("ends too early"), std::string::npos) << size << ": " << line;
    }
}

void expect_forged_points_do_no_harm(const Codec& codec, ConstByteSpan packed, int count) {
    count = scaled(count);
    const MemorySource source(Bytes(packed.begin(), packed.end()));
    const auto points = record_pass(codec, source).points;
    std::mt19937_64 random(24);
    int refused = 0;
    for (int i = 0; i < count; ++i) {
        auto point = points[random() % points.size()];
        const auto way = random() % 4;
        if (way == 0) {
            point.packed_bit = random() % (packed.size() * 8 + 100);
        } else if (way == 1) {
            point.packed_bit = random();
        } else if (way == 2) {
            point.state = noise(random() % 200, random());
        } else if (!point.state.empty()) {
            point.state[random() % point.state.size()] ^=
                static_cast<std::byte>(1 + random() % 255);
        }
        Bytes out(1 + random() % 300'000);
        refused += static_cast<int>(!decode(codec, source, point, out));
        point.plain = 1 + random() % 1'000'000;
        try {
            record_pass(codec, source, {}, {.point = point, .behind = [](uint64_t, ByteSpan) {}});
        } catch (const std::system_error& error) {
            EXPECT_EQ(errno_of(error), EUCLEAN) << message_of(error);
        }
    }
    EXPECT_GT(refused, count / 4);
}

void expect_garbage_behind_is_told(const Codec& codec, ConstByteSpan packed, ConstByteSpan plain) {
    const Bytes start(packed.begin(), packed.end());
    for (const size_t zeros : {1, 3, 4, 7, 100, 5'000'000}) {
        const MemorySource source(joined(start, Bytes(zeros)));
        const auto record = pass_over(codec, source);
        ASSERT_TRUE(record) << zeros << " zeros";
        EXPECT_EQ(record->plain.size(), plain.size());
        const MemorySource worse(joined(joined(start, Bytes(zeros)), to_bytes("x")));
        EXPECT_FALSE(pass_over(codec, worse)) << "x behind " << zeros << " zeros";
    }
    for (const auto* garbage : {"x", "BZ", "garbage that is longer than any header could be"}) {
        const MemorySource source(joined(start, to_bytes(garbage)));
        EXPECT_FALSE(pass_over(codec, source)) << garbage;
    }
}

}  // namespace imgfs
