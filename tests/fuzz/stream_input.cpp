#include "tests/fuzz/stream_input.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "fs/base/error.h"
#include "fs/source/codec.h"
#include "tests/support/codec_contract.h"
#include "tests/support/memory_source.h"

namespace imgfs {
namespace {

/// Enough for a second point.
uint64_t most_plain(const Codec& codec) {
    return codec.name == "zstd" ? 5 * kMiB : 2 * kMiB + 300 * kKiB;
}

void expect_allowed(int error, const std::string& line) {
    EXPECT_TRUE(error == EUCLEAN || error == ENOTSUP) << error << ": " << line;
}

PassOutcome pass_over(const Codec& codec, const Source& packed, const PassOptions& options,
                      const PassStart& start = {}) {
    const auto most = most_plain(codec);
    auto outcome =
        try_pass(codec, packed, options, start, most - std::min(most, start.point.plain));
    if (outcome.error != 0) {
        expect_allowed(outcome.error, outcome.line);
        EXPECT_NE(outcome.line.find("memory: byte "), std::string::npos) << outcome.line;
    }
    return outcome;
}

enum class Steps { one, odd };

/// What a Decoder gives; nothing if it tells of damage.
std::optional<Bytes> decoded(const Codec& codec, const Source& packed, const SeekPoint& point,
                             size_t size, Steps steps) {
    Bytes out(size);
    try {
        const auto decoder = codec.open(packed, point);
        size_t step = steps == Steps::one ? size : 1;
        for (size_t at = 0; at < size; at += step, step = step * 3 % 100'003 + 1) {
            step = std::min(step, size - at);
            decoder->read(ByteSpan(out).subspan(at, step));
        }
    } catch (const std::system_error& error) {
        expect_allowed(errno_of(error), message_of(error));
        return std::nullopt;
    }
    return out;
}

/// Nothing was amiss, and all was looked at.
bool is_clean(const PassOutcome& outcome) {
    return outcome.error == 0 && !outcome.cut && outcome.record.mismatches.empty() &&
           outcome.record.unknown.empty();
}

/// Near damage a Decoder may give nothing of what the pass found.
void expect_segment(const Codec& codec, const Source& packed, const PassOutcome& outcome,
                    size_t number) {
    const auto& record = outcome.record;
    const auto& point = record.points[number];
    const auto size = segment_end(record.points, number, record.plain.size()) - point.plain;
    const auto whole = decoded(codec, packed, point, size, Steps::one);
    const auto pieces = decoded(codec, packed, point, size, Steps::odd);
    EXPECT_TRUE(!is_clean(outcome) || (whole && pieces)) << "segment at " << point.plain;
    for (const auto& bytes : {whole, pieces}) {
        EXPECT_TRUE(!bytes || agrees(record, point.plain, *bytes)) << "segment at " << point.plain;
    }
    EXPECT_TRUE(!whole || !pieces || text_of(*whole) == text_of(*pieces))
        << "segment at " << point.plain;
}

/// `other` began at `begin` of the first. Where zlib refuses a code that no writer makes, ISA-L may
/// take it: then they end differently.
void expect_same(const Codec& codec, const PassOutcome& first, const PassOutcome& other,
                 uint64_t begin) {
    if (other.record.unknown.empty()) {
        EXPECT_TRUE(agrees(first.record, begin, other.record.plain));
    }
    if (first.cut || other.cut) {
        return;
    }
    if (codec.name != "gzip") {
        EXPECT_EQ(first.error, other.error) << first.line << '\n' << other.line;
    }
    EXPECT_TRUE(first.error != 0 || other.error != 0 ||
                first.record.plain.size() == begin + other.record.plain.size());
}

void expect_goes_on(const Codec& codec, const Source& packed, const PassOutcome& outcome,
                    const PassOptions& options) {
    const auto& record = outcome.record;
    const auto& point = record.points.back();
    const auto behind = [&](uint64_t offset, ByteSpan out) {
        ASSERT_LE(offset + out.size(), point.plain);
        std::ranges::copy(ConstByteSpan(record.plain).subspan(offset, out.size()), out.begin());
    };
    const auto again = pass_over(codec, packed, options, {.point = point, .behind = behind});
    if (record.unknown.empty()) {
        expect_same(codec, outcome, again, point.plain);
    }
}

}  // namespace

void run_stream(std::string_view name, ConstByteSpan packed) {
    const auto& codec = codec_named(name);
    if (!codec.starts(packed.first(std::min(packed.size(), kCodecStart)))) {
        return;
    }
    const MemorySource source(Bytes(packed.begin(), packed.end()));
    const PassOptions options{.dense = true};
    const auto outcome = pass_over(codec, source, options);
    for (size_t i = 0; i < outcome.record.points.size(); ++i) {
        expect_segment(codec, source, outcome, i);
    }
    if (outcome.record.points.size() > 1) {
        expect_goes_on(codec, source, outcome, options);
    }
    if (codec.name == "gzip") {
        expect_same(codec, outcome, pass_over(codec, source, {.dense = true, .portable = true}), 0);
    }
}

}  // namespace imgfs
