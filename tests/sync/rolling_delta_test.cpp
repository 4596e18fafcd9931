#include "sync/rolling_delta.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <random>

#include "fs/base/error.h"
#include "fs/base/fd.h"
#include "tests/support/memory_source.h"
#include "tests/support/temp_dir.h"

namespace imgsync {
namespace {

using imgfs::noise;

Feed feed_of(const Bytes& bytes, size_t most) {
    return [&bytes, most, offset = size_t{0}](ByteSpan out) mutable {
        const auto count = std::min({out.size(), bytes.size() - offset, most});
        std::copy_n(bytes.begin() + static_cast<ptrdiff_t>(offset), count, out.begin());
        offset += count;
        return count;
    };
}

Sink sink_to(Bytes& bytes) {
    return [&bytes](ConstByteSpan piece) { bytes.insert(bytes.end(), piece.begin(), piece.end()); };
}

Bytes signature_of(const Bytes& bytes) {
    Bytes signature;
    sign(bytes.size(), feed_of(bytes, SIZE_MAX), sink_to(signature));
    return signature;
}

/// In pieces of all sizes, as a connection gives them.
template <typename Receiver>
void add_in_pieces(ConstByteSpan bytes, size_t piece, Receiver& receiver) {
    while (!bytes.empty()) {
        const auto count = std::min(piece, bytes.size());
        receiver.add(bytes.first(count));
        bytes = bytes.subspan(count);
    }
}

class RollingDeltaTest : public ::testing::Test {
  protected:
    Bytes delta(const Bytes& basis, const Bytes& content, size_t piece) {
        const auto bytes = signature_of(basis);
        EXPECT_EQ(bytes.size(), signature_length(basis.size()));
        Signature signature(bytes.size());
        add_in_pieces(bytes, piece, signature);
        EXPECT_TRUE(signature.is_complete());
        Bytes made;
        signature.make_delta(feed_of(content, piece), sink_to(made));
        return made;
    }
    Bytes patched(const Bytes& basis, const Bytes& delta, size_t piece, bool& complete) {
        imgfs::write_file(directory_ / "basis", basis);
        const auto file = imgfs::open_file(directory_ / "basis", O_RDONLY);
        Bytes content;
        Patch patch(file.get(), sink_to(content));
        add_in_pieces(delta, piece, patch);
        complete = patch.is_complete();
        return content;
    }

    imgfs::TempDir directory_;
};

TEST_F(RollingDeltaTest, MakesTheNewFileFromTheOldForAllSizesAndPieces) {
    for (const size_t size : {size_t{0}, size_t{1}, size_t{2047}, size_t{2048}, size_t{70'000}}) {
        for (const size_t piece : {size_t{7}, size_t{4096}, size_t{1'000'000}}) {
            const auto basis = noise(size, 1);
            auto content = noise(1000, 2);
            content.insert(content.end(), basis.begin(), basis.end());
            bool complete = false;
            EXPECT_EQ(patched(basis, delta(basis, content, piece), piece, complete), content);
            EXPECT_TRUE(complete) << size << " " << piece;
        }
    }
}

TEST_F(RollingDeltaTest, SendsAShiftedFileAsReferences) {
    const auto basis = noise(500'000, 1);
    Bytes content = noise(13, 2);
    content.insert(content.end(), basis.begin(), basis.end());
    EXPECT_LT(delta(basis, content, 100'000).size(), 5'000u);
}

TEST_F(RollingDeltaTest, NoticesADeltaThatMakesNoSense) {
    const auto basis = noise(100'000, 1);
    const auto content = noise(120'000, 1);
    const auto good = delta(basis, content, 100'000);
    std::mt19937 random(1);
    for (int round = 0; round < 100; ++round) {
        auto bad = good;
        bad.resize(random() % bad.size());
        bool complete = true;
        patched(basis, bad, 1000, complete);
        EXPECT_FALSE(complete);
        bad = good;
        bad[random() % 40] = static_cast<std::byte>(random());
        patched(basis, bad, 1000, complete);  // must only come back
    }
}

TEST_F(RollingDeltaTest, RefusesSignaturesThatAreNoneOrDamaged) {
    const auto good = signature_of(noise(100'000, 1));
    for (const auto length : {uint64_t{0}, uint64_t{11}, uint64_t{13}, uint64_t{1} << 40}) {
        EXPECT_THROW(Signature{length}, std::system_error);
    }
    for (const size_t at : {0, 1, 2, 3, 4, 8, 9, 10, 11}) {  // magic, length of blocks and sums
        auto bad = good;
        bad[at] ^= std::byte{0xff};
        Signature signature(bad.size());
        EXPECT_THROW(signature.add(bad), std::system_error) << at;
    }
    auto longer = good;
    longer.push_back(std::byte{1});
    Signature signature(good.size());
    EXPECT_THROW(signature.add(longer), std::system_error);
}

}  // namespace
}  // namespace imgsync
