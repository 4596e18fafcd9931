#include "fs/source/index_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <random>

#include "tests/support/memory_source.h"
#include "tests/support/temp_dir.h"
#include "tests/support/thrown.h"

namespace imgfs {
namespace {

class IndexFileTest : public testing::Test {
  protected:
    static constexpr size_t kHead = 32;

    IndexFileTest() {
        auto file = open();
        file.write_header(identity_);
        IndexEnd end{.plain_size = 9 * kMiB + 5, .content = {std::byte{7}}, .entries = {}};
        for (size_t i = 0; i < 3; ++i) {
            IndexRecord record{.point = {.plain = i * 4 * kMiB, .packed_bit = 80 + i * 9'000'001},
                               .begin = i * 4 * kMiB,
                               .end = std::min((i + 1) * 4 * kMiB, end.plain_size),
                               .hashes = {}};
            record.point.state = noise(i * 100, i);
            for (uint64_t j = 0; i != 1 && j < piece_count(record.end - record.begin); ++j) {
                record.hashes.push_back(j * 0x9e3779b97f4a7c15);
            }
            end.entries.push_back({record.begin, record.point.packed_bit, at_.back()});
            at_.push_back(file.append(at_.back(), record));
            records_.push_back(std::move(record));
        }
        size_ = file.append(at_.back(), end);
        end_ = std::move(end);
        file_ = read_file(path_, kGiB);
    }

    IndexFile open() const { return {open_file(path_, O_RDWR | O_CREAT), path_.string()}; }

    /// Makes each checksum of a segment right again, as one who forges an index would.
    void mend_checksums(Bytes& file) const {
        const auto bytes = ByteSpan(file);
        for (const auto at : at_) {
            if (at + kHead > file.size()) {
                return;
            }
            const auto length = std::min<uint64_t>(le64(bytes, at + 8), file.size() - at - kHead);
            store(bytes, at + 16, xxh3_64(bytes.subspan(at + kHead, length)));
            store(bytes, at + 24, xxh3_64(bytes.subspan(at, 24)));
        }
    }

    TempDir dir_;
    std::filesystem::path path_ = dir_ / "index";
    IndexIdentity identity_{.codec = 1, .packed_size = 50 * kMiB, .packed = to_bytes("parts")};
    std::vector<uint64_t> at_ = {IndexFile::kHeaderSize};
    std::vector<IndexRecord> records_;
    IndexEnd end_;
    uint64_t size_ = 0;
    Bytes file_;
};

TEST_F(IndexFileTest, ReadsBackWhatWasAppended) {
    const auto file = open();
    for (size_t i = 0; i < records_.size(); ++i) {
        const auto read = file.read_record(at_[i]);
        ASSERT_TRUE(read);
        EXPECT_EQ(read->next, at_[i + 1]);
        EXPECT_EQ(read->record.point.plain, records_[i].point.plain);
        EXPECT_EQ(read->record.point.packed_bit, records_[i].point.packed_bit);
        EXPECT_EQ(read->record.point.state, records_[i].point.state);
        EXPECT_EQ(read->record.begin, records_[i].begin);
        EXPECT_EQ(read->record.end, records_[i].end);
        EXPECT_EQ(read->record.hashes, records_[i].hashes);
    }
    const auto end = file.read_end();
    ASSERT_TRUE(end);
    EXPECT_EQ(end->plain_size, end_.plain_size);
    EXPECT_EQ(end->content, end_.content);
    ASSERT_EQ(end->entries.size(), 3U);
    EXPECT_EQ(end->entries[2].begin, end_.entries[2].begin);
    EXPECT_EQ(end->entries[2].packed_bit, end_.entries[2].packed_bit);
    EXPECT_EQ(end->entries[2].offset, at_[2]);
    EXPECT_FALSE(file.read_record(at_.back())) << "the end is no record";
    EXPECT_EQ(file.size(), size_);
}

// INDEX.md, invariant 1.
TEST_F(IndexFileTest, IsForeignForOtherPackedBytes) {
    const auto file = open();
    EXPECT_EQ(file.check_header(identity_), IndexHeader::good);
    auto other = identity_;
    other.packed_size += 1;
    EXPECT_EQ(file.check_header(other), IndexHeader::other_files);
    other = identity_;
    other.packed = to_bytes("others");
    EXPECT_EQ(file.check_header(other), IndexHeader::other_files);
    other = identity_;
    other.codec = 2;
    EXPECT_EQ(file.check_header(other), IndexHeader::other_files);
    other = identity_;
    other.dense = true;
    EXPECT_EQ(file.check_header(other), IndexHeader::less_dense);
    open().write_header(other);
    EXPECT_EQ(file.check_header(other), IndexHeader::good);
    EXPECT_EQ(file.check_header(identity_), IndexHeader::good) << "denser is good, too";
    open().truncate(79);
    EXPECT_EQ(file.check_header(identity_), IndexHeader::too_short);
}

// INDEX.md, invariants 1, 2 and 6.
TEST_F(IndexFileTest, EachFlippedBitIsSeen) {
    for (size_t at = 0; at < file_.size(); ++at) {
        auto bad = file_;
        bad[at] ^= static_cast<std::byte>(1U << at % 8);
        write_file(path_, bad);
        const auto file = open();
        const bool header = file.check_header(identity_) == IndexHeader::good;
        bool records = true;
        for (size_t i = 0; i < records_.size(); ++i) {
            records = records && file.read_record(at_[i]).has_value();
        }
        ASSERT_FALSE(header && records && file.read_end()) << at;
    }
}

// INDEX.md, invariant 2: a prefix can be used.
TEST_F(IndexFileTest, EachCutLeavesTheRecordsBeforeIt) {
    for (size_t size = 0; size < file_.size(); ++size) {
        auto cut = file_;
        cut.resize(size);
        write_file(path_, cut);
        const auto file = open();
        EXPECT_FALSE(file.read_end()) << size;
        for (size_t i = 0; i < records_.size(); ++i) {
            ASSERT_EQ(file.read_record(at_[i]).has_value(), size >= at_[i + 1]) << size;
        }
    }
}

// INDEX.md, invariants 3 to 5: right checksums make nothing true.
TEST_F(IndexFileTest, ForgedFilesAreRefusedOrKeepTheInvariants) {
    std::mt19937_64 random(9);
    int refused = 0;
    for (int i = 0; i < 3000; ++i) {
        auto bad = file_;
        for (auto changes = 1 + random() % 4; changes > 0; --changes) {
            const auto segment = at_[random() % at_.size()];
            const auto fields = std::min<uint64_t>(bad.size() - segment, kHead + 60);
            bad[segment + random() % fields] = static_cast<std::byte>(random());
        }
        mend_checksums(bad);
        write_file(path_, bad);
        const auto file = open();
        for (const auto at : at_) {
            const auto read = file.read_record(at);
            refused += read ? 0 : 1;
            if (read) {
                const auto& record = read->record;
                ASSERT_LE(record.begin, record.end);
                ASSERT_EQ(record.begin % kHashedPiece, 0U);
                ASSERT_LE(record.point.plain, record.begin);
                ASSERT_TRUE(record.hashes.empty() ||
                            record.hashes.size() == piece_count(record.end - record.begin));
            }
        }
        if (const auto end = file.read_end()) {
            ASSERT_EQ(end->entries.front().begin, 0U);
            ASSERT_LE(end->entries.back().begin, end->plain_size);
        }
    }
    EXPECT_GT(refused, 3000 + 300) << "the end is never a record";
}

// A sparse file of any size takes no memory.
TEST_F(IndexFileTest, AHugeFileIsNotRead) {
    std::filesystem::resize_file(path_, 1000 * kGiB);
    const auto file = open();
    EXPECT_FALSE(file.read_end());
    EXPECT_FALSE(file.read_record(at_.back()));
}

// INDEX.md, invariant 8.
TEST_F(IndexFileTest, APayloadIsNotLongerThanAnyIndexNeeds) {
    auto file = open();
    IndexRecord record;
    record.point.state.resize(IndexFile::kLongestPayload);
    EXPECT_EQ(error_of([&] { file.append(at_.back(), record); }), EFBIG);
    EXPECT_EQ(file.size(), size_);
    record.point.state.resize(IndexFile::kLongestPayload - 40);
    file.append(at_.back(), record);
    EXPECT_TRUE(file.read_record(at_.back()));
    std::filesystem::resize_file(path_, file.size() + 1);
    Bytes head(kHead);
    const auto fd = open_file(path_, O_RDWR);
    read_some(fd.get(), at_.back(), head, "index");
    const Bytes payload(IndexFile::kLongestPayload + 1);  // which is sound but for its length
    store(head, 8, static_cast<uint64_t>(payload.size()));
    store(head, 16, xxh3_64(payload));
    store(head, 24, xxh3_64(ConstByteSpan(head).first(24)));
    write_exactly(fd.get(), at_.back(), head, "index");
    EXPECT_FALSE(file.read_record(at_.back()));
}

TEST_F(IndexFileTest, OneAtATimeHasTheLock) {
    auto first = open();
    auto second = open();
    EXPECT_TRUE(first.try_lock());
    EXPECT_FALSE(second.try_lock());
    first.unlock();
    EXPECT_TRUE(second.try_lock());
    EXPECT_TRUE(second.is_at(path_));
    std::filesystem::rename(path_, dir_ / "other");
    EXPECT_FALSE(second.is_at(path_));
}

}  // namespace
}  // namespace imgfs
