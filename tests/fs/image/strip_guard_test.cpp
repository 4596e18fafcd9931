#include "fs/image/strip_guard.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>

#include "fs/base/not_yet.h"
#include "fs/image/partition.h"
#include "tests/support/image_builder.h"
#include "tests/support/memory_source.h"
#include "tests/support/thrown.h"

namespace imgfs {
namespace {

/// A stream whose indexing pass hasn't ended.
class PendingSource final : public Source {
  public:
    PendingSource(Bytes content, const bool& settled)
        : content_(std::move(content)), settled_(settled) {}
    uint64_t size() const override { return content_.size(); }
    std::string place(uint64_t offset) const override { return content_.place(offset); }
    void settle() const override {
        if (!settled_) {
            throw NotYet([] { return false; });
        }
    }

  private:
    void read_inside(uint64_t offset, ByteSpan out) const override { content_.read(offset, out); }

    const MemorySource content_;
    const bool& settled_;
};

class StripGuardTest : public testing::Test {
  protected:
    /// 100 used blocks of 512 bytes in strips of 3, one bit of block 50 flipped.
    std::unique_ptr<Partition> damaged(bool restart, CheckStrips when) {
        auto image = build_partclone({.used = std::vector<bool>(100, true), .restart = restart});
        plain_ = image.plain;
        const auto block =
            std::ranges::search(image.stream, ConstByteSpan(image.plain).subspan(50 * 512, 512));
        block.front() ^= std::byte{1};
        const auto vouching = [this](uint64_t, uint64_t end) {
            return end > unchecked_from_ ? Vouched::no : settled_ ? Vouched::yes : Vouched::not_yet;
        };
        return open_partition(std::make_unique<PendingSource>(image.stream, settled_),
                              {.check_strips = when, .vouching = vouching});
    }

    static int error_at(const Partition& partition, uint64_t block) {
        Bytes out(512);
        return error_of([&] { partition.read(block * 512, out); });
    }

    bool settled_ = false;
    uint64_t unchecked_from_ = UINT64_MAX;
    Bytes plain_;
};

TEST(StripGuard, OnlyStripsThatRestartAndAreShortAreCheckedAlone) {
    PartcloneHeader header;
    header.block_size = 4096;
    header.blocks_per_checksum = 16 * kKiB;
    EXPECT_TRUE(StripGuard::can_check(header));
    header.checksums_restart = false;
    EXPECT_FALSE(StripGuard::can_check(header));
    header.checksums_restart = true;
    ++header.blocks_per_checksum;
    EXPECT_FALSE(StripGuard::can_check(header)) << "restore reads such an image twice";
}

TEST_F(StripGuardTest, UntilThePassHasEndedADamagedStripIsNotGivenOut) {
    const auto partition = damaged(true, CheckStrips::where_needed);
    EXPECT_EQ(error_at(*partition, 50), EUCLEAN);
    EXPECT_EQ(error_at(*partition, 48), EUCLEAN) << "the same strip";
    for (const auto block : {0, 47, 51, 99}) {
        Bytes out(512);
        partition->read(static_cast<uint64_t>(block) * 512, out);
        EXPECT_TRUE(std::ranges::equal(
            out, ConstByteSpan(plain_).subspan(static_cast<size_t>(block) * 512, 512)));
    }
    Bytes all(plain_.size());
    const auto line = line_of([&] { partition->read(0, all); });
    EXPECT_NE(line.find("strip 16"), std::string::npos) << line;
    EXPECT_NE(line.find("blocks 48 to 50"), std::string::npos) << line;
}

TEST_F(StripGuardTest, AfterThePassItVouchesForTheBytes) {
    const auto partition = damaged(true, CheckStrips::where_needed);
    EXPECT_EQ(error_at(*partition, 50), EUCLEAN);
    settled_ = true;
    EXPECT_EQ(error_at(*partition, 50), 0);
}

TEST_F(StripGuardTest, ARestoreAndARescueCheckAlways) {
    settled_ = true;
    for (const auto when : {CheckStrips::always, CheckStrips::where_readable}) {
        const auto partition = damaged(true, when);
        EXPECT_EQ(error_at(*partition, 49), EUCLEAN);
        EXPECT_EQ(error_at(*partition, 51), 0);
    }
}

TEST_F(StripGuardTest, WhereTheStreamHasNoChecksumAStripIsCheckedThoughThePassHasEnded) {
    settled_ = true;
    unchecked_from_ = 1000;
    EXPECT_EQ(error_at(*damaged(true, CheckStrips::where_needed), 50), EUCLEAN);
    unchecked_from_ = 52 * 512 + 4096;  // behind the damaged strip
    const auto partition = damaged(true, CheckStrips::where_needed);
    EXPECT_EQ(error_at(*partition, 50), 0) << "the stream vouches for it";
}

TEST_F(StripGuardTest, OfAStripThatIsCutARescueGivesOutTheRest) {
    auto image = build_partclone({.used = std::vector<bool>(100, true)});
    image.stream.resize(image.stream.size() - 512);
    const auto opened = [&](CheckStrips when) {
        return open_partition(std::make_unique<MemorySource>(image.stream), {.check_strips = when});
    };
    EXPECT_EQ(error_of([&] { opened(CheckStrips::always); }), EUCLEAN);
    const auto partition = opened(CheckStrips::where_readable);
    EXPECT_EQ(error_at(*partition, 98), 0);
    EXPECT_EQ(error_at(*partition, 99), EUCLEAN);
}

TEST_F(StripGuardTest, ARunningChecksumWaitsForThePass) {
    const auto partition = damaged(false, CheckStrips::where_needed);
    Bytes out(512);
    EXPECT_THROW(partition->read(0, out), NotYet);
    settled_ = true;
    EXPECT_EQ(error_at(*partition, 0), 0);
    unchecked_from_ = 0;
    EXPECT_EQ(error_at(*damaged(false, CheckStrips::where_needed), 50), 0) << "better than nothing";
    settled_ = false;
    EXPECT_EQ(error_at(*damaged(false, CheckStrips::where_readable), 50), 0) << "waits for nothing";
}

}  // namespace
}  // namespace imgfs
