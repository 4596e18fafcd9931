#include "fs/source/zstd_seek_table.h"

#include <gtest/gtest.h>

#include "fs/source/decode.h"
#include "fs/source/stream_packer.h"
#include "tests/support/codec_contract.h"
#include "tests/support/counting_source.h"
#include "tests/support/memory_source.h"
#include "tests/support/packed.h"
#include "tests/support/thrown.h"

namespace imgfs {
namespace {

const Codec& kZstd = codec_named("zstd");
constexpr size_t kFoot = 9;

Bytes packed(ConstByteSpan plain) {
    Bytes stream;
    StreamPacker packer(*find_packing("zstd"), 3, [&](ConstByteSpan piece) {
        stream.insert(stream.end(), piece.begin(), piece.end());
    });
    packer.add(plain);
    packer.finish();
    return stream;
}

class ZstdSeekTableTest : public testing::Test {
  protected:
    Bytes plain_ = mixed(5 * kMiB + 4321);
    Bytes stream_ = packed(plain_);
    size_t table_ = stream_.size() - kFoot - 6 * ListedFrame::kStateSize;  // of the first entry
};

TEST_F(ZstdSeekTableTest, APointStandsAtEachFrameAndNothingIsDecoded) {
    const MemorySource source(stream_);
    const auto found = record_pass(kZstd, source);
    ASSERT_EQ(found.points.size(), 6U);
    for (size_t i = 0; i < found.points.size(); ++i) {
        EXPECT_EQ(found.points[i].plain, i * kMiB);
        EXPECT_TRUE(is_listed_frame(found.points[i].state));
    }
}

TEST_F(ZstdSeekTableTest, AnyPlaceIsReadAndTheIndexTakesOnlyTheTable) {
    std::atomic<uint64_t> count = 0;
    const auto decoded = decode(
        std::make_unique<CountingSource>(std::make_unique<MemorySource>(stream_), count), {});
    Bytes some(5000);
    decoded.plain->read(4 * kMiB - 100, some);
    EXPECT_EQ(text_of(some), text_of(ConstByteSpan(plain_).subspan(4 * kMiB - 100, some.size())));
    EXPECT_LT(count, stream_.size());
    EXPECT_EQ(read_all(*decoded.plain), plain_);
}

TEST_F(ZstdSeekTableTest, DamageInAFrameIsFoundBeforeAnythingOfItIsGivenOut) {
    const auto frames = list_zstd_frames(MemorySource(stream_));
    ASSERT_TRUE(frames);
    stream_[frames->front().packed_size + frames->at(1).packed_size / 2] ^= std::byte{1};
    const auto decoded = decode(std::make_unique<MemorySource>(stream_), {});
    Bytes one(1);
    EXPECT_EQ(error_of([&] { decoded.plain->read(kMiB, one); }), EUCLEAN);
    decoded.plain->read(2 * kMiB, one);
    EXPECT_EQ(one[0], plain_[2 * kMiB]);
}

TEST_F(ZstdSeekTableTest, AChecksumOfTheTableThatDisagreesIsDamage) {
    stream_[table_ + 8] ^= std::byte{1};
    const auto decoded = decode(std::make_unique<MemorySource>(stream_), {});
    Bytes one(1);
    EXPECT_EQ(error_of([&] { decoded.plain->read(0, one); }), EUCLEAN);
}

TEST_F(ZstdSeekTableTest, ATableThatDoesntFitIsPassedOver) {
    EXPECT_TRUE(list_zstd_frames(MemorySource(stream_)));
    for (const auto at : {table_, table_ + 4, table_ - 8, table_ - 4, stream_.size() - 9,
                          stream_.size() - 5, stream_.size() - 1}) {
        auto damaged = stream_;
        damaged[at] ^= std::byte{1};
        EXPECT_FALSE(list_zstd_frames(MemorySource(damaged))) << at;
    }
    const auto behind = joined(stream_, packed_by("zstd -q -c", to_bytes("more")));
    EXPECT_FALSE(list_zstd_frames(MemorySource(behind)));
    const auto before = joined(packed_by("zstd -q -c", to_bytes("more")), stream_);
    EXPECT_FALSE(list_zstd_frames(MemorySource(before)));
    EXPECT_EQ(read_all(*decode(std::make_unique<MemorySource>(before), {}).plain),
              joined(to_bytes("more"), plain_));
    EXPECT_FALSE(list_zstd_frames(MemorySource(Bytes(5))));
}

TEST_F(ZstdSeekTableTest, AForeignPointIsRefused) {
    const MemorySource source(stream_);
    for (const auto& state :
         {Bytes(ListedFrame::kStateSize), Bytes(ListedFrame::kStateSize, std::byte{0xff})}) {
        EXPECT_EQ(error_of([&] { kZstd.open(source, {.state = state}); }), EUCLEAN);
    }
}

}  // namespace
}  // namespace imgfs
