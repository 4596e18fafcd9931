#include "fs/source/gzip_stretch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <stdexcept>

#include "fs/source/gzip_decoder.h"
#include "tests/support/codec_contract.h"
#include "tests/support/codec_damage.h"
#include "tests/support/counting_source.h"
#include "tests/support/memory_source.h"
#include "tests/support/packed.h"

namespace imgfs {
namespace {

constexpr uint64_t kSpacing = 512 * kKiB;

/// Text whose words come from a large vocabulary: history fades, as it does in files.
Bytes words(size_t size, uint64_t seed) {
    const auto vocabulary = noise(64 * kKiB, seed);
    const auto choices = noise(size / 2, seed + 1);
    Bytes text;
    for (size_t i = 0; text.size() < size; i += 3) {
        const auto word = le32(choices, i) % (vocabulary.size() - 16);
        const auto from = vocabulary.begin() + static_cast<ptrdiff_t>(word);
        text.insert(text.end(), from, from + 5 + static_cast<ptrdiff_t>(word % 11));
    }
    text.resize(size);
    return text;
}

/// Where the known bytes of a stretch stand in `plain`, which they do only once.
uint64_t place_of(const GzipStretch& stretch, const Bytes& plain) {
    const auto start = stretch.plain.first(stretch.known + 64).subspan(stretch.known);
    const auto found = std::ranges::search(plain, start);
    return static_cast<uint64_t>(found.begin() - plain.begin());
}

TEST(GzipStretchTest, WhatIsKnownIsRightAndBlocksStandWhereTheySay) {
    const auto plain = words(8 * kMiB, 3);
    const MemorySource packed(packed_by("pigz -1 -b 128", plain));
    GzipStretches stretches(packed, kSpacing);
    for (uint64_t from = 0; from + GzipStretches::kPacked < packed.size(); from += kMiB) {
        auto stretch = stretches.decode(from);
        ASSERT_TRUE(stretch) << from;
        EXPECT_GE(stretch->begin, from);
        EXPECT_GT(stretch->end, from + GzipStretches::kPacked / 2)
            << "pigz leaves out some markers";
        const auto known = stretch->plain.first(stretch->size).subspan(stretch->known);
        const auto at = place_of(*stretch, plain);
        ASSERT_LE(at + known.size(), plain.size());
        EXPECT_TRUE(std::ranges::equal(known, ConstByteSpan(plain).subspan(at, known.size())));
        ASSERT_FALSE(stretch->blocks.empty());
        EXPECT_EQ(stretch->blocks.back().packed, stretch->end);
        EXPECT_EQ(stretch->blocks.back().plain, stretch->size);
        const auto begin = at - stretch->known;
        for (const auto& block : stretch->blocks) {
            const auto behind = begin + block.plain;
            const GzipPlace place{
                .plain = behind,
                .packed_bit = block.packed * 8,
                .member_plain = behind,
                .history = {plain.begin() + static_cast<ptrdiff_t>(behind - kDeflateHistory),
                            plain.begin() + static_cast<ptrdiff_t>(behind)}};
            Bytes out(1000);
            GzipDecoder(packed, place, InflateEngine::fastest).read(out);
            EXPECT_TRUE(std::ranges::equal(out, ConstByteSpan(plain).subspan(behind, 1000)));
        }
        stretches.give_back(std::move(*stretch));
    }
}

TEST(GzipStretchTest, WhereEverythingRefersBackNothingIsKnown) {
    Bytes plain;
    for (const auto piece = noise(20'000, 4); plain.size() < 200 * kMiB;) {
        plain.insert(plain.end(), piece.begin(), piece.end());
    }
    const MemorySource packed(packed_by("pigz -1 -b 128", plain));
    EXPECT_FALSE(GzipStretches(packed, kSpacing).decode(0));
}

TEST(GzipStretchTest, WithoutMarkersThereIsNone) {
    const MemorySource packed(packed_by("gzip -1", words(4 * kMiB, 5)));
    EXPECT_FALSE(GzipStretches(packed, kSpacing).decode(0));
}

/// Ends the pass at its first plain bytes behind some.
class ShortSink final : public PassSink {
  public:
    explicit ShortSink(uint64_t wanted) : left_(wanted) {}
    void point(SeekPoint) override {}
    void plain(ConstByteSpan bytes) override {
        if (bytes.size() > left_) {
            throw std::runtime_error("enough");
        }
        left_ -= bytes.size();
    }
    void unchecked(uint64_t) override {}
    void skipped(uint64_t) override {}
    void lost(uint64_t, const std::string&) override {}
    void mismatch(const std::string&) override {}
    void progress(uint64_t) override {}
    void note(const std::string&) override {}

  private:
    uint64_t left_;
};

TEST(GzipStretchTest, WhatLooksForMarkersDoesNotRunAway) {
    std::atomic<uint64_t> read = 0;
    const CountingSource packed(
        std::make_unique<MemorySource>(packed_by("gzip -1", noise(32 * kMiB, 3))), read);
    ShortSink sink(4 * kMiB);
    EXPECT_THROW(codec_named("gzip").pass(packed, {}, {}, sink), std::runtime_error);
    EXPECT_LT(read, 22 * kMiB);
}

TEST(GzipStretchTest, ThePassOverManyOfThemKeepsTheContract) {
    const auto first = words(6 * kMiB, 6);
    const auto second = words(5 * kMiB, 7);
    expect_keeps_codec_contract(
        codec_named("gzip"),
        joined(packed_by("pigz -1 -b 128", first), packed_by("pigz -1 --rsyncable", second)),
        joined(first, second));
}

TEST(GzipStretchTest, DamageInThemIsFound) {
    const auto plain = words(8 * kMiB, 8);
    const auto packed = packed_by("pigz -1 -b 128", plain);
    expect_bit_flips_are_found(codec_named("gzip"), packed, plain, 10);
    expect_truncation_is_told(codec_named("gzip"), packed, 10);
}

}  // namespace
}  // namespace imgfs
