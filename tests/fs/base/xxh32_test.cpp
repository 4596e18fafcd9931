#include "fs/base/xxh32.h"

#include <gtest/gtest.h>

#include <random>

namespace imgfs {
namespace {

TEST(Xxh32Test, IsLibxxhashsInWhateverPiecesAndFromAnyState) {
    std::mt19937_64 random(1);
    for (size_t size = 0; size < 300; ++size) {
        Bytes bytes(size);
        for (auto& byte : bytes) {
            byte = static_cast<std::byte>(random());
        }
        Xxh32 hash;
        for (size_t at = 0; at < size;) {
            const auto count = std::min<size_t>(size - at, random() % 40);
            hash.update(ConstByteSpan(bytes).subspan(at, count));
            at += count;
            hash = Xxh32(hash.state());
        }
        EXPECT_EQ(hash.digest(), xxh32(bytes)) << size;
    }
}

}  // namespace
}  // namespace imgfs
