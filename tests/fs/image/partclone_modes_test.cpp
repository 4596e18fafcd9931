// Version 0001, and version 0002 without a bitmap or with a byte map.
#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "fs/base/error.h"
#include "fs/image/partclone_layout.h"
#include "fs/image/partclone_verify.h"
#include "fs/image/partition.h"
#include "tests/support/faulty_source.h"
#include "tests/support/image_builder.h"
#include "tests/support/source_contract.h"

namespace imgfs {
namespace {

constexpr size_t kHeaderSize1 = 4160;
constexpr size_t kMarkSize = 8;

/// A stream that is still being indexed: how long it is can't be asked, only some bound.
class UnmeasuredSource final : public Source {
  public:
    UnmeasuredSource(Bytes content, uint64_t limit) : content_(std::move(content)), limit_(limit) {}
    uint64_t size() const override {
        ADD_FAILURE() << "waits for the end of the pass";
        return content_.size();
    }
    uint64_t bound() const override { return limit_; }
    void settle() const override { fail(EUCLEAN, "the pass has met damage"); }
    std::string place(uint64_t offset) const override { return content_.place(offset); }
    uint64_t furthest() const { return furthest_; }

  private:
    void read_inside(uint64_t offset, ByteSpan out) const override {
        furthest_ = std::max(furthest_, offset + out.size());
        if (offset > content_.size() || out.size() > content_.size() - offset) {
            fail(EUCLEAN, "stream ends early");
        }
        content_.read(offset, out);
    }

    MemorySource content_;
    uint64_t limit_;
    mutable uint64_t furthest_ = 0;
};

std::unique_ptr<Partition> open_stream(Bytes stream) {
    return open_partition(std::make_unique<MemorySource>(std::move(stream)));
}

std::string open_failure(std::unique_ptr<Source> source) {
    try {
        open_partition(std::move(source));
    } catch (const std::system_error& error) {
        EXPECT_EQ(error.code().value(), EUCLEAN) << error.what();
        return message_of(error);
    }
    return "opened";
}

std::vector<std::string> damage_of(const Partition& partition) {
    std::vector<std::string> damage;
    partition.verify([&](const std::string& line) { damage.push_back(line); }, {});
    return damage;
}

PartcloneSpec some_blocks(uint32_t block_size, size_t count, uint64_t seed) {
    return {.block_size = block_size, .used = used_blocks(count, 60, seed), .seed = seed};
}

TEST(PartcloneModesTest, ReadsVersion0001WithBothWidthsOfChecksums) {
    for (const size_t slot : {4, 8}) {
        for (const uint32_t block_size : {1, 7, 512, 4096}) {
            for (const uint64_t tail : {0, 700}) {
                SCOPED_TRACE(testing::Message() << slot << "-byte slots, blocks of " << block_size
                                                << ", tail of " << tail);
                auto spec = some_blocks(block_size, 203, tail + block_size);
                spec.tail = tail;
                const auto image = build_partclone_0001(spec, slot);
                const auto partition = open_stream(image.stream);
                expect_keeps_source_contract(*partition, image.plain);
                EXPECT_EQ(damage_of(*partition), std::vector<std::string>());
                EXPECT_EQ(partition->verify({}, {}), partition->info().used_blocks);
            }
        }
    }
}

TEST(PartcloneModesTest, ReadsVersion0001OfAnyFewBlocks) {
    for (const size_t slot : {4, 8}) {
        for (size_t bits = 0; bits < 32; ++bits) {
            PartcloneSpec spec;
            for (size_t i = 0; i < 5; ++i) {
                spec.used.push_back((bits >> i & 1) != 0);
            }
            const auto image = build_partclone_0001(spec, slot);
            const auto partition = open_stream(image.stream);
            EXPECT_EQ(read_all(*partition), image.plain) << bits << " with slots of " << slot;
            EXPECT_EQ(damage_of(*partition), std::vector<std::string>()) << bits;
        }
    }
}

TEST(PartcloneModesTest, FindsTheWidthOfChecksumsWithoutTheSizeOfTheStream) {
    for (const size_t slot : {4, 8}) {
        const auto image = build_partclone_0001(some_blocks(512, 1000, 4), slot);
        auto source = std::make_unique<UnmeasuredSource>(image.stream, uint64_t{1} << 62);
        const auto& below = *source;
        const auto partition = open_partition(std::move(source));
        EXPECT_LE(below.furthest(), kHeaderSize1 + 1000 + kMarkSize + 2 * (512 + slot));
        EXPECT_EQ(read_all(*partition), image.plain);
        EXPECT_EQ(damage_of(*partition), std::vector<std::string>());
        for (const uint64_t offset : {uint64_t{0}, partition->size() - 1}) {
            EXPECT_NE(partition->place(offset), "");
        }
    }
}

TEST(PartcloneModesTest, FindsTheWidthOfChecksumsBySizeWhereTheFirstBlocksAreDamaged) {
    const size_t data = kHeaderSize1 + 100 + kMarkSize;
    for (const size_t slot : {4, 8}) {
        auto spec = some_blocks(512, 100, 4);
        spec.used[0] = true;
        const auto image = build_partclone_0001(spec, slot);
        auto flipped = image.stream;
        flipped[data] ^= std::byte{1};
        auto expected = image.plain;
        expected[0] ^= std::byte{1};
        EXPECT_EQ(read_all(*open_stream(flipped)), expected) << slot;

        const auto lost = open_partition(std::make_unique<FaultySource>(
            image.stream, Fault{.start = data, .length = 600, .code = EUCLEAN}));
        Bytes end(512);
        lost->read(lost->size() - 512, end);
        EXPECT_EQ(end, Bytes(image.plain.end() - 512, image.plain.end())) << slot;
    }
}

TEST(PartcloneModesTest, TakesTheLargerOfBothSizesOfAVersion0001Device) {
    const auto spec = some_blocks(512, 100, 2);
    auto stream = build_partclone_0001(spec).stream;
    for (const uint64_t stored : {uint64_t{0}, uint64_t{51199}, uint64_t{51200}, uint64_t{99999}}) {
        store<uint64_t>(stream, 40, stored);
        EXPECT_EQ(open_stream(stream)->size(), std::max<uint64_t>(stored, 51200));
    }
}

TEST(PartcloneModesTest, SaysWhereARunningChecksumOfVersion0001IsWrong) {
    const PartcloneSpec spec{.used = std::vector<bool>(10, true)};
    const size_t data = kHeaderSize1 + 10 + kMarkSize;
    auto stream = build_partclone_0001(spec).stream;
    stream[data + 3 * 516] ^= std::byte{1};        // the first byte of block 3
    stream[data + 5 * 516 + 100] ^= std::byte{1};  // no checksum takes that in
    EXPECT_EQ(damage_of(*open_stream(stream)),
              (std::vector<std::string>{"memory: byte 5726: strip 3 (block 3 of the partition): "
                                        "running checksum is wrong; the blocks after it can't be "
                                        "checked"}));
}

TEST(PartcloneModesTest, GoesOnBehindWhatCannotBeDecodedOfVersion0001) {
    const PartcloneSpec spec{.block_size = 4096, .used = std::vector<bool>(500, true)};
    const auto good = build_partclone_0001(spec).stream;
    const auto layout = read_partclone_layout(MemorySource(good));
    std::vector<std::string> damage;
    verify_partclone(FaultySource(good, {.start = 100, .length = 4100, .code = EUCLEAN}), layout,
                     [&](const std::string& line) { damage.push_back(line); }, {});
    ASSERT_GE(damage.size(), 3U);
    EXPECT_NE(damage[0].find("partclone header can't be read"), std::string::npos) << damage[0];
    EXPECT_NE(damage[1].find("bitmap of used blocks can't be read"), std::string::npos);
    EXPECT_NE(damage[2].find("the blocks after can't be checked"), std::string::npos) << damage[2];
}

TEST(PartcloneModesTest, RefusesAVersion0001StreamThatIsCutAnywhere) {
    const auto good = build_partclone_0001({.used = {true, false, true, true}}).stream;
    for (size_t size = 64; size < good.size(); ++size) {
        const auto line = open_failure(std::make_unique<MemorySource>(
            Bytes(good.begin(), good.begin() + static_cast<ptrdiff_t>(size))));
        EXPECT_TRUE(line.starts_with("memory: byte " + std::to_string(size - 1) + ": stream ends"))
            << line;
    }
}

TEST(PartcloneModesTest, RefusesEveryFieldOfVersion0001ThatLies) {
    const auto with = [](size_t offset, auto value) {
        auto stream = build_partclone_0001({.used = std::vector<bool>(9, true)}).stream;
        store(stream, offset, value);
        return open_failure(std::make_unique<MemorySource>(std::move(stream)));
    };
    constexpr auto kMost64 = std::numeric_limits<uint64_t>::max();
    const std::vector<std::pair<std::string, std::string>> fields{
        {with(36, uint32_t{0}), "byte 36: partclone header: absurd block size 0"},
        {with(36, ~uint32_t{0}), "byte 36: partclone header: absurd block size"},
        {with(36, uint32_t{1 << 26}), "stream ends after 0 of 9 used blocks"},
        {with(40, kMost64), "byte 40: partclone header: 9 blocks of 512 bytes don't fit"},
        {with(48, uint64_t{0}), "byte 48: partclone header: absurd number of blocks 0"},
        {with(48, kMost64), "absurd number of blocks"},
        {with(48, uint64_t{1} << 43), "stream ends inside the bitmap"},
        {with(48, uint64_t{10}), "byte 4160: bitmap of used blocks is damaged"},
        {with(kHeaderSize1 + 9, uint8_t{0}), "bitmap of used blocks is damaged"},
    };
    for (const auto& [line, words] : fields) {
        EXPECT_NE(line.find(words), std::string::npos) << line << "\nwhere expected: " << words;
    }
}

TEST(PartcloneModesTest, ReadsImagesWithoutABitmap) {
    for (const auto mode : std::initializer_list<uint16_t>{0x00, 0x20, 0x31}) {
        const auto image = build_partclone({.block_size = 64,
                                            .used = std::vector<bool>(1003, true),
                                            .tail = 100,
                                            .checksum_mode = mode,
                                            .bitmap_mode = 0});
        const auto partition = open_stream(image.stream);
        EXPECT_EQ(partition->info().used_blocks, 1003);
        expect_keeps_source_contract(*partition, image.plain);
        EXPECT_EQ(damage_of(*partition), std::vector<std::string>());
        EXPECT_EQ(partition->verify({}, {}), 1 + (mode == 0 ? 0U : 335U));
        EXPECT_NE(partition->identity(),
                  open_stream(build_partclone(some_blocks(64, 1003, 1)).stream)->identity());
    }
}

TEST(PartcloneModesTest, TakesNoMemoryForBlocksThatOnlyAHeaderPromises) {
    auto header = build_partclone({.block_size = 512, .used = {true}, .bitmap_mode = 0}).stream;
    store<uint64_t>(header, 52, uint64_t{1} << 52);
    store<uint64_t>(header, 60, uint64_t{1} << 43);
    store<uint64_t>(header, 76, uint64_t{1} << 43);
    for (const auto mode : std::initializer_list<uint8_t>{0, 1, 8}) {
        store<uint8_t>(header, 105, mode);
        seal_partclone_header(header);
        auto source = std::make_unique<UnmeasuredSource>(header, uint64_t{1} << 62);
        EXPECT_EQ(open_failure(std::move(source)), mode == 0 ? "opened" : "stream ends early");
    }

    auto old = build_partclone_0001({.used = {true}}).stream;
    store<uint64_t>(old, 48, uint64_t{1} << 43);
    EXPECT_EQ(open_failure(std::make_unique<UnmeasuredSource>(old, uint64_t{1} << 62)),
              "stream ends early");
}

TEST(PartcloneModesTest, ReadsByteMapsWhateverStandsBehindThem) {
    for (const auto end : {MapEnd::crc, MapEnd::mark}) {
        for (const unsigned percent : {0U, 60U, 100U}) {
            const auto image = build_partclone({.block_size = 64,
                                                .used = used_blocks(1003, percent, 9),
                                                .tail = 100,
                                                .bitmap_mode = 8,
                                                .map_end = end});
            const auto partition = open_stream(image.stream);
            expect_keeps_source_contract(*partition, image.plain);
            EXPECT_EQ(damage_of(*partition), std::vector<std::string>());
        }
    }
}

TEST(PartcloneModesTest, FindsADamagedEndOfTheBitmap) {
    for (const auto end : {MapEnd::crc, MapEnd::mark}) {
        const auto good =
            build_partclone({.used = used_blocks(100, 60, 9), .bitmap_mode = 8, .map_end = end})
                .stream;
        auto stream = good;
        stream[110 + 100] ^= std::byte{1};
        EXPECT_EQ(open_failure(std::make_unique<MemorySource>(stream)),
                  "memory: byte 110: bitmap of used blocks is damaged: what should stand behind it "
                  "doesn't");
        std::vector<std::string> damage;
        verify_partclone(MemorySource(stream), read_partclone_layout(MemorySource(good)),
                         [&](const std::string& line) { damage.push_back(line); }, {});
        ASSERT_EQ(damage.size(), 1U);
        EXPECT_TRUE(damage[0].starts_with("memory: byte 110: bitmap of used blocks is damaged: it"))
            << damage[0];
    }
}

TEST(PartcloneModesTest, GivesContentTheSameIdentityInEveryMode) {
    const auto spec = some_blocks(512, 1000, 3);
    auto map = spec;
    map.bitmap_mode = 8;
    const auto identity = open_stream(build_partclone(spec).stream)->identity();
    EXPECT_EQ(open_stream(build_partclone(map).stream)->identity(), identity);
    EXPECT_EQ(open_stream(build_partclone_0001(spec).stream)->identity(), identity);
    EXPECT_EQ(open_stream(build_partclone_0001(spec, 8).stream)->identity(), identity);
}

TEST(PartcloneModesTest, RecognisesWhatIsTooShortForAnyFormatThoughItsSizeIsUnknown) {
    class ShortSource final : public Source {
      public:
        uint64_t size() const override { return 5; }
        uint64_t bound() const override { return 1000; }
        std::string place(uint64_t) const override { return "short"; }

      private:
        void read_inside(uint64_t offset, ByteSpan out) const override {
            if (offset + out.size() > size()) {
                fail(EUCLEAN, "stream ends early");
            }
        }
    };
    try {
        open_partition(std::make_unique<ShortSource>());
        ADD_FAILURE() << "opened";
    } catch (const std::system_error& error) {
        EXPECT_EQ(error.code().value(), EMEDIUMTYPE) << error.what();
    }
}

TEST(PartcloneModesTest, OpensOrThrowsWhateverTheBytesAre) {
    const auto good = build_partclone_0001({.used = used_blocks(40, 60, 1)}).stream;
    std::mt19937_64 random(1);
    int opened = 0;
    for (int i = 0; i < 4000; ++i) {
        auto stream = good;
        for (auto changes = 1 + random() % 3; changes > 0; --changes) {
            const auto at = random() % 2 == 0
                                ? 30 + random() % 34
                                : kHeaderSize1 + random() % (good.size() - kHeaderSize1);
            stream[at] = static_cast<std::byte>(random() % 3 == 0 ? 0xFF : random());
        }
        if (random() % 8 == 0) {
            stream.resize(random() % stream.size());
        }
        try {
            const auto partition = open_stream(std::move(stream));
            damage_of(*partition);
            Bytes some(std::min<uint64_t>(partition->size(), kMiB));
            partition->read(partition->size() - some.size(), some);
            ++opened;
        } catch (const std::system_error& error) {
            const int code = error.code().value();
            EXPECT_TRUE(code == EUCLEAN || code == ENOTSUP || code == EMEDIUMTYPE) << error.what();
        }
    }
    EXPECT_GT(opened, 100);
    EXPECT_LT(opened, 3900);
}

}  // namespace
}  // namespace imgfs
