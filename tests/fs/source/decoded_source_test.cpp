#include "fs/source/decoded_source.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cerrno>

#include "fs/base/error.h"
#include "fs/source/index_places.h"
#include "tests/fs/source/index_fixture.h"

namespace imgfs {
namespace {

// The range before the second frame ends in it, so it can't be decoded at once.
TEST(DecodedSourceTest, BehindALargeWindowAnotherFrameIsRead) {
    const auto first = mixed(9 * kMiB + 1000, 1);
    const auto second = mixed(3 * kMiB, 2);
    const auto plain = joined(first, second);
    const auto source = decoded(memory(joined(packed_by("zstd -3 --long=27 --single-thread", first),
                                              packed_by("zstd -3", second))),
                                {.dense = true});
    source->settle();
    Bytes out(100'000);
    for (auto at = first.size() - out.size(); at < first.size() + out.size(); at += 30'000) {
        source->read(at, out);
        EXPECT_TRUE(std::ranges::equal(out, ConstByteSpan(plain).subspan(at, out.size()))) << at;
    }
    EXPECT_EQ(read_all(*source), plain);
}

// A codec whose packed bytes are the plain ones.
constexpr uint64_t kPoints = 2 * kHashedPiece;
constexpr uint64_t kNobodyPasses = 40 * kPoints;  // who comes from before it
std::atomic<uint64_t> decoders_opened = 0;

class PlainDecoder final : public Decoder {
  public:
    PlainDecoder(const Source& packed, uint64_t at) : packed_(packed), start_(at), at_(at) {}

    void read(ByteSpan out) override {
        if (start_ < kNobodyPasses && at_ + out.size() > kNobodyPasses) {
            fail(EUCLEAN, "something stands in the way");
        }
        packed_.read(at_, out);
        at_ += out.size();
    }

  private:
    const Source& packed_;
    const uint64_t start_;
    uint64_t at_;
};

void tell_points(const Source& packed, const PassStart& /*start*/, const PassOptions& /*options*/,
                 PassSink& sink) {
    sink.point({});
    Bytes piece(kPoints);
    for (uint64_t at = 0; at < packed.size(); at += piece.size()) {
        if (at != 0) {
            sink.point({.plain = at, .packed_bit = at * 8});
        }
        packed.read(at, piece);
        sink.plain(piece);
    }
}

std::unique_ptr<Decoder> open_plain(const Source& packed, const SeekPoint& point) {
    ++decoders_opened;
    return std::make_unique<PlainDecoder>(packed, point.plain);
}

class GoingOnTest : public testing::Test {
  protected:
    static constexpr Codec kCodec{.name = "plain",
                                  .number = 99,
                                  .starts = nullptr,
                                  .pass = tell_points,
                                  .open = open_plain,
                                  .points_last = true,
                                  .skips = false,
                                  .step = kHashedPiece,
                                  .unpacker = ""};

    void SetUp() override {
        auto found = find_index({}, {.codec = kCodec.number, .packed_size = plain_.size()}, {}, {});
        source_ = std::make_unique<DecodedSource>(
            memory(plain_), kCodec,
            std::make_unique<SeekIndex>(std::move(found.file), std::nullopt, plain_.size()),
            DecodedOptions{});
        source_->settle();
        decoders_opened = 0;
    }

    const Bytes plain_ = mixed(128 * kPoints);
    std::unique_ptr<DecodedSource> source_;
};

TEST_F(GoingOnTest, WhoReadsForwardStartsFewDecoders) {
    EXPECT_EQ(read_all(*source_), plain_);
    EXPECT_LT(decoders_opened, 128 / 4);
}

TEST_F(GoingOnTest, WhatStandsBetweenTwoPointsHidesNothingBehindIt) {
    Bytes out(kHashedPiece);
    for (const auto at : {kNobodyPasses - kHashedPiece, kNobodyPasses}) {
        source_->read(at, out);
        EXPECT_TRUE(std::ranges::equal(out, ConstByteSpan(plain_).subspan(at, out.size()))) << at;
    }
}

}  // namespace
}  // namespace imgfs
