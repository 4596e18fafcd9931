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
        return open_partition(std::make_unique<PendingSource>(image.stream, settled_), when);
    }

    static int error_at(const Partition& partition, uint64_t block) {
        Bytes out(512);
        return error_of([&] { partition.read(block * 512, out); });
    }

    bool settled_ = false;
    Bytes plain_;
};

TEST_F(StripGuardTest, UntilThePassHasEndedADamagedStripIsNotGivenOut) {
    const auto partition = damaged(true, CheckStrips::until_settled);
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
    const auto partition = damaged(true, CheckStrips::until_settled);
    EXPECT_EQ(error_at(*partition, 50), EUCLEAN);
    settled_ = true;
    EXPECT_EQ(error_at(*partition, 50), 0);
}

TEST_F(StripGuardTest, ARescueChecksAlways) {
    settled_ = true;
    const auto partition = damaged(true, CheckStrips::always);
    EXPECT_EQ(error_at(*partition, 49), EUCLEAN);
    EXPECT_EQ(error_at(*partition, 51), 0);
}

TEST_F(StripGuardTest, ARunningChecksumWaitsForThePass) {
    const auto partition = damaged(false, CheckStrips::until_settled);
    Bytes out(512);
    EXPECT_THROW(partition->read(0, out), NotYet);
    settled_ = true;
    EXPECT_EQ(error_at(*partition, 0), 0);
    EXPECT_EQ(error_at(*damaged(false, CheckStrips::always), 50), 0) << "better than nothing";
}

}  // namespace
}  // namespace imgfs
