#include "fs/image/block_bitmap.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/image_builder.h"

namespace imgfs {
namespace {

BlockBitmap bitmap_of(const std::vector<bool>& used) {
    std::vector<uint64_t> words((used.size() + 63) / 64);
    for (size_t i = 0; i < used.size(); ++i) {
        words[i / 64] |= uint64_t{used[i]} << (i % 64);
    }
    return {std::move(words), used.size()};
}

TEST(BlockBitmapTest, AgreesWithCountingOneByOne) {
    for (const size_t count : {1, 63, 64, 65, 2047, 2048, 2049, 4096, 20000}) {
        const auto used = used_blocks(count, 50, count);
        const auto bitmap = bitmap_of(used);
        uint64_t rank = 0;
        for (size_t i = 0; i < count; ++i) {
            ASSERT_EQ(bitmap.rank(i), rank) << i << " of " << count;
            ASSERT_EQ(bitmap.is_used(i), used[i]);
            if (used[i]) {
                ASSERT_EQ(bitmap.select(rank), i) << "of " << count;
                ++rank;
            }
        }
        EXPECT_EQ(bitmap.rank(count), rank);
        EXPECT_EQ(bitmap.used_count(), rank);
        EXPECT_EQ(bitmap.bytes().size(), (count + 7) / 8);
    }
}

TEST(BlockBitmapTest, FindsTheEndOfEveryRun) {
    const auto used = used_blocks(5000, 50, 7);
    const auto bitmap = bitmap_of(used);
    for (size_t i = 0; i < used.size(); ++i) {
        const auto from = used.begin() + static_cast<ptrdiff_t>(i);
        const auto end = static_cast<size_t>(std::find(from, used.end(), !used[i]) - used.begin());
        ASSERT_EQ(bitmap.run_end(i, used.size()), end) << i;
        ASSERT_EQ(bitmap.run_end(i, i + 1), i + 1);
        ASSERT_EQ(bitmap.run_end(i, std::min(i + 100, used.size())), std::min(i + 100, end)) << i;
    }
}

TEST(BlockBitmapTest, CrossesManyFullWords) {
    const BlockBitmap all(std::vector<uint64_t>(1 << 14, ~uint64_t{0}), uint64_t{1} << 20);
    EXPECT_EQ(all.run_end(5, all.block_count()), all.block_count());
    EXPECT_EQ(all.select(999'999), 999'999);
}

TEST(BlockBitmapTest, ForgetsBitsPastTheLastBlock) {
    const BlockBitmap bitmap({~uint64_t{0}}, 10);
    EXPECT_EQ(bitmap.used_count(), 10);
    EXPECT_EQ(bitmap.run_end(0, 10), 10);
    EXPECT_EQ(bitmap.bytes()[1], std::byte{3});
}

}  // namespace
}  // namespace imgfs
