#include "fs/source/decoder_pool.h"

#include <gtest/gtest.h>

namespace imgfs {
namespace {

class Sized final : public Decoder {
  public:
    explicit Sized(uint64_t memory) : memory_(memory) {}
    void read(ByteSpan) override {}
    uint64_t memory() const override { return memory_; }

  private:
    uint64_t memory_;
};

OpenDecoder open_at(uint64_t packed_bit, uint64_t plain, uint64_t memory = 10) {
    return {packed_bit, plain, std::make_unique<Sized>(memory), {}};
}

TEST(DecoderPoolTest, TheOneThatNeedsToSkipLeastIsTaken) {
    DecoderPool pool(1000);
    for (const uint64_t plain : {100, 300, 200, 400}) {
        pool.give(open_at(8, plain));
    }
    pool.give(open_at(16, 310));
    EXPECT_EQ(pool.take(8, 350).plain, 300U);
    EXPECT_EQ(pool.take(8, 350).plain, 200U) << "it was taken out";
    EXPECT_FALSE(pool.take(8, 99).decoder) << "none goes back";
    EXPECT_FALSE(pool.take(24, 500).decoder) << "of another point";
}

TEST(DecoderPoolTest, MemoryIsBoundedButForTheLatest) {
    DecoderPool pool(25);
    pool.give(open_at(8, 1));
    pool.give(open_at(8, 2));
    pool.give(open_at(8, 3));
    EXPECT_EQ(pool.take(8, 9).plain, 3U);
    EXPECT_EQ(pool.take(8, 9).plain, 2U);
    EXPECT_FALSE(pool.take(8, 9).decoder);
    pool.give(open_at(8, 4));
    pool.give(open_at(8, 5, 100));
    EXPECT_EQ(pool.take(8, 9).plain, 5U);
    EXPECT_FALSE(pool.take(8, 9).decoder);
}

}  // namespace
}  // namespace imgfs
