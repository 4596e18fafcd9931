#include "fs/source/split_source.h"

#include <gtest/gtest.h>

#include "tests/support/memory_source.h"
#include "tests/support/source_contract.h"

namespace imgfs {
namespace {

std::unique_ptr<SplitSource> split(const Bytes& content, const std::vector<size_t>& sizes) {
    std::vector<std::unique_ptr<Source>> parts;
    size_t start = 0;
    for (const auto size : sizes) {
        const auto piece = ConstByteSpan(content).subspan(start, size);
        parts.push_back(std::make_unique<MemorySource>(Bytes(piece.begin(), piece.end())));
        start += size;
    }
    return std::make_unique<SplitSource>(std::move(parts));
}

TEST(SplitSourceTest, PartsAreJoinedWhereverTheyWereCut) {
    const auto content = noise(100'000, 1);
    expect_keeps_source_contract(*split(content, {100'000}), content);
    expect_keeps_source_contract(*split(content, {1, 49'999, 0, 0, 50'000}), content);
    expect_keeps_source_contract(*split(content, std::vector<size_t>(1000, 100)), content);
    expect_keeps_source_contract(*split({}, {0}), {});
}

TEST(SplitSourceTest, APlaceIsThatOfThePart) {
    const auto source = split(noise(100, 1), {40, 0, 60});
    EXPECT_EQ(source->place(0), "memory: byte 0");
    EXPECT_EQ(source->place(39), "memory: byte 39");
    EXPECT_EQ(source->place(40), "memory: byte 0");
    EXPECT_EQ(source->place(100), "memory: byte 60");
}

TEST(SplitSourceTest, NoPartsAreNoImage) {
    EXPECT_THROW(SplitSource({}), std::system_error);
}

}  // namespace
}  // namespace imgfs
