#include "fs/source/index_file.h"

#include <gtest/gtest.h>

#include <random>

#include "fs/base/checksum.h"
#include "fs/base/fd.h"
#include "tests/support/memory_source.h"
#include "tests/support/temp_dir.h"

namespace imgfs {
namespace {

constexpr uint64_t kPackedSize = 50 * kMiB;
constexpr size_t kHeader = 80;
constexpr size_t kHead = 32;

class IndexFileTest : public testing::Test {
  protected:
    IndexFileTest() {
        index_.plain_size = 9 * kMiB + 5;
        index_.points = {{0, 80, {}},
                         {4 * kMiB + 100, 9'000'001, noise(500, 1)},
                         {8 * kMiB + 101, 19'000'000, noise(300, 2)}};
        index_.hashes.resize(145);
        for (size_t i = 0; i < index_.hashes.size(); ++i) {
            index_.hashes[i] = i * 0x9e3779b97f4a7c15;
        }
        save_index(path_, kPackedSize, identity_, index_);
        file_ = read_file(path_, kGiB);
    }

    IndexState state_of(const Bytes& file) {
        write_file(path_, file);
        return load_index(path_, kPackedSize, identity_).state;
    }

    /// Makes each checksum of a segment right again, as one who forges an index would.
    static void mend_checksums(Bytes& file) {
        const auto bytes = ByteSpan(file);
        for (size_t at = kHeader; at + kHead <= file.size();) {
            const auto left = file.size() - at - kHead;
            const auto length = std::min<uint64_t>(le64(bytes, at + 8), left);
            store(bytes, at + 16, xxh3_64(bytes.subspan(at + kHead, length)));
            store(bytes, at + 24, xxh3_64(bytes.subspan(at, 24)));
            at += kHead + length;
        }
    }

    TempDir dir_;
    std::filesystem::path path_ = dir_ / "index";
    Bytes identity_ = to_bytes("parts");
    GzipIndex index_;
    Bytes file_;
};

TEST_F(IndexFileTest, ReadsBackWhatWasSaved) {
    const auto loaded = load_index(path_, kPackedSize, identity_);
    ASSERT_EQ(loaded.state, IndexState::good);
    EXPECT_EQ(loaded.index.plain_size, index_.plain_size);
    EXPECT_EQ(loaded.index.hashes, index_.hashes);
    ASSERT_EQ(loaded.index.points.size(), index_.points.size());
    for (size_t i = 0; i < index_.points.size(); ++i) {
        EXPECT_EQ(loaded.index.points[i].plain, index_.points[i].plain);
        EXPECT_EQ(loaded.index.points[i].packed_bit, index_.points[i].packed_bit);
        EXPECT_EQ(loaded.index.points[i].history, index_.points[i].history);
    }
}

// INDEX.md, invariant 1.
TEST_F(IndexFileTest, IsStaleForOtherPackedBytes) {
    EXPECT_EQ(load_index(path_, kPackedSize + 1, identity_).state, IndexState::stale);
    EXPECT_EQ(load_index(path_, kPackedSize, to_bytes("others")).state, IndexState::stale);
    EXPECT_EQ(load_index(dir_ / "none", kPackedSize, identity_).state, IndexState::none);
}

// INDEX.md, invariants 1 and 2.
TEST_F(IndexFileTest, EachFlippedBitIsSeen) {
    for (size_t at = 0; at < file_.size(); ++at) {
        auto bad = file_;
        bad[at] ^= static_cast<std::byte>(1U << at % 8);
        ASSERT_EQ(state_of(bad), at < kHeader ? IndexState::stale : IndexState::damaged) << at;
    }
}

// INDEX.md, invariant 2.
TEST_F(IndexFileTest, EachCutAndWhatIsAppendedIsSeen) {
    for (size_t size = kHeader; size < file_.size(); ++size) {
        auto bad = file_;
        bad.resize(size);
        ASSERT_EQ(state_of(bad), IndexState::damaged) << size;
    }
    auto longer = file_;
    longer.resize(file_.size() + 1);
    EXPECT_EQ(state_of(longer), IndexState::damaged);
}

// INDEX.md, invariants 3 and 4: right checksums make nothing true.
TEST_F(IndexFileTest, WrongFieldsUnderRightChecksumsAreSeen) {
    for (const uint64_t value : {uint64_t{1}, uint64_t{1} << 40, UINT64_MAX, UINT64_MAX - 65535}) {
        for (const size_t field : {8, 32, 48}) {  // length, plain offset, number of hashes
            auto bad = file_;
            store(ByteSpan(bad), kHeader + field, value);
            mend_checksums(bad);
            EXPECT_EQ(state_of(bad), IndexState::damaged) << field << " " << value;
        }
        auto bad = file_;
        store(ByteSpan(bad), bad.size() - 8, value);  // size of the plain bytes
        mend_checksums(bad);
        EXPECT_EQ(state_of(bad), IndexState::damaged) << "size " << value;
    }
    auto beyond = file_;
    store(ByteSpan(beyond), kHeader + kHead + 8, kPackedSize * 8);  // packed offset
    mend_checksums(beyond);
    EXPECT_EQ(state_of(beyond), IndexState::damaged);
}

TEST_F(IndexFileTest, ForgedFilesLoadOrAreRefusedAndStayInBounds) {
    std::mt19937_64 random(9);
    int refused = 0;
    for (int i = 0; i < 3000; ++i) {
        auto bad = file_;
        for (auto changes = 1 + random() % 4; changes > 0; --changes) {
            bad[kHeader + random() % (bad.size() - kHeader)] = static_cast<std::byte>(random());
        }
        if (i % 5 == 0) {
            bad.resize(kHeader + random() % (bad.size() - kHeader));
        }
        mend_checksums(bad);
        write_file(path_, bad);
        const auto loaded = load_index(path_, kPackedSize, identity_);
        if (loaded.state != IndexState::good) {
            ++refused;
            continue;
        }
        ASSERT_EQ(loaded.index.hashes.size(), (loaded.index.plain_size + 65535) / 65536);
        ASSERT_EQ(loaded.index.points.front().plain, 0u);
        ASSERT_LT(loaded.index.points.back().packed_bit, kPackedSize * 8);
    }
    EXPECT_GT(refused, 300);
}

// A sparse file of any size takes no memory.
TEST_F(IndexFileTest, AHugeFileIsNotRead) {
    std::filesystem::resize_file(path_, 1000 * kGiB);
    EXPECT_EQ(load_index(path_, kPackedSize, identity_).state, IndexState::none);
}

}  // namespace
}  // namespace imgfs
