#include "fs/image/partclone_verify.h"

#include <gtest/gtest.h>

#include "fs/base/error.h"
#include "tests/support/faulty_source.h"
#include "tests/support/image_builder.h"

namespace imgfs {
namespace {

struct Verdict {
    std::vector<std::string> damage;
    uint64_t checked = 0;
};

/// What verifying `now` says, where the layout is still known from the good stream.
Verdict verify(const Source& now, const Bytes& good) {
    Verdict verdict;
    const auto layout = read_partclone_layout(MemorySource(good));
    verdict.checked = verify_partclone(
        now, layout, [&](const std::string& line) { verdict.damage.push_back(line); }, {});
    return verdict;
}

Verdict verify_flipped(const Bytes& good, const std::vector<size_t>& flipped) {
    auto stream = good;
    for (const auto offset : flipped) {
        stream[offset] ^= std::byte{0x10};
    }
    return verify(MemorySource(stream), good);
}

using Lines = std::vector<std::string>;

// 10 blocks, 8 used: 0 1 3 | 4 5 7 | 8 9, data from byte 116, strips of 1540 bytes.
PartcloneSpec spec(uint16_t mode, bool restart) {
    return {.used = {true, true, false, true, true, true, false, true, true, true},
            .checksum_mode = mode,
            .restart = restart};
}

TEST(PartcloneVerifyTest, NamesTheStripThatIsDamaged) {
    for (const auto mode : std::initializer_list<uint16_t>{0x20, 0x30, 0x31}) {
        const auto good = build_partclone(spec(mode, true)).stream;
        const size_t checksum = mode == 0x20 ? 4 : mode == 0x30 ? 8 : 16;
        const size_t second = 116 + 3 * 512 + checksum;
        const Lines expected{"memory: byte " + std::to_string(second) +
                             ": strip 1 (blocks 4 to 7 of the partition): checksum is wrong"};
        for (const size_t flipped :
             {second, second + 3 * 512 - 1, second + 3 * 512, second + 3 * 512 + checksum - 1}) {
            const auto verdict = verify_flipped(good, {flipped});
            EXPECT_EQ(verdict.damage, expected) << flipped;
            EXPECT_EQ(verdict.checked, 5);
        }
    }
}

TEST(PartcloneVerifyTest, FindsEveryFlippedByte) {
    for (const bool restart : {true, false}) {
        const auto good = build_partclone(spec(0x31, restart)).stream;
        for (size_t i = 0; i < good.size(); ++i) {
            ASSERT_FALSE(verify_flipped(good, {i}).damage.empty()) << i;
        }
    }
}

TEST(PartcloneVerifyTest, ReportsEveryDamagedPlace) {
    const auto good = build_partclone(spec(0x20, true)).stream;
    const auto verdict = verify_flipped(good, {20, 111, 116, good.size() - 1});
    EXPECT_EQ(verdict.damage,
              (Lines{"memory: byte 0: partclone header is damaged: its checksum is wrong",
                     "memory: byte 110: bitmap of used blocks is damaged: its checksum is wrong",
                     "memory: byte 116: strip 0 (blocks 0 to 3 of the partition): checksum is "
                     "wrong",
                     "memory: byte 3196: strip 2 (blocks 8 to 9 of the partition): checksum is "
                     "wrong"}));
    EXPECT_EQ(verdict.checked, 5);
}

TEST(PartcloneVerifyTest, SaysOnceThatNothingAfterARunningChecksumCanBeTold) {
    for (const auto mode : std::initializer_list<uint16_t>{0x20, 0x30, 0x31}) {
        const auto verdict =
            verify_flipped(build_partclone(spec(mode, false)).stream, {130, 116 + 4 * 512});
        EXPECT_EQ(verdict.damage,
                  (Lines{"memory: byte 116: strip 0 (blocks 0 to 3 of the partition): running "
                         "checksum is wrong; the blocks after it can't be checked"}));
        EXPECT_EQ(verdict.checked, 3);
    }
}

TEST(PartcloneVerifyTest, SeesThatOnlyAStoredRunningChecksumIsDamaged) {
    const auto verdict = verify_flipped(build_partclone(spec(0x20, false)).stream, {116 + 3 * 512});
    ASSERT_EQ(verdict.damage.size(), 2);
    EXPECT_NE(verdict.damage[1].find("strip 1 (blocks 4 to 7 of the partition): the running "
                                     "checksum is right again"),
              std::string::npos)
        << verdict.damage[1];
    EXPECT_EQ(verdict.checked, 5);
}

// 512 blocks of 4 KiB in strips of 16: the reader goes on after each 64 KiB that it can't get.
PartcloneSpec large_spec(uint16_t mode, bool restart) {
    return {.block_size = 4096,
            .used = std::vector<bool>(512, true),
            .checksum_mode = mode,
            .blocks_per_checksum = 16,
            .restart = restart};
}

TEST(PartcloneVerifyTest, GoesOnBehindDamageInThePackedStream) {
    const auto good = build_partclone(large_spec(0x20, true)).stream;
    auto stream = good;
    stream[stream.size() - 1] ^= std::byte{1};
    const auto verdict =
        verify(FaultySource(stream, {.start = 1'000'000, .length = 10, .code = EUCLEAN}), good);
    ASSERT_EQ(verdict.damage.size(), 2);
    EXPECT_NE(verdict.damage[0].find("can't be read: fault planted at byte 1000000"),
              std::string::npos)
        << verdict.damage[0];
    EXPECT_NE(verdict.damage[0].find(": strips 14 to 15 (blocks 224 to 255 of"), std::string::npos)
        << verdict.damage[0];
    EXPECT_NE(verdict.damage[1].find("strip 31 (blocks 496 to 511 of"), std::string::npos)
        << verdict.damage[1];
    EXPECT_EQ(verdict.checked, 2 + 32 - 2);
}

TEST(PartcloneVerifyTest, ReportsDamageBelowWithoutChecksumsToo) {
    const auto good = build_partclone(large_spec(0, true)).stream;
    const auto verdict =
        verify(FaultySource(good, {.start = 1'500'000, .length = 1, .code = EUCLEAN}), good);
    ASSERT_EQ(verdict.damage.size(), 1);
    EXPECT_NE(verdict.damage[0].find(": blocks 256 to 511 of the partition can't be read: fault"),
              std::string::npos)
        << verdict.damage[0];
    EXPECT_EQ(verdict.checked, 2);
}

TEST(PartcloneVerifyTest, CannotTellAnythingAfterAHoleUnderARunningChecksum) {
    const auto good = build_partclone(large_spec(0x31, false)).stream;
    const auto verdict =
        verify(FaultySource(good, {.start = 1'000'000, .length = 10, .code = EUCLEAN}), good);
    ASSERT_EQ(verdict.damage.size(), 1);
    EXPECT_NE(verdict.damage[0].find("blocks after can't be checked"), std::string::npos)
        << verdict.damage[0];
    EXPECT_EQ(verdict.checked, 2 + 14);
}

TEST(PartcloneVerifyTest, ReportsAHeaderAndBitmapThatCannotBeDecoded) {
    const auto good = build_partclone(spec(0x20, true)).stream;
    const auto verdict =
        verify(FaultySource(good, {.start = 0, .length = good.size(), .code = EUCLEAN}), good);
    ASSERT_EQ(verdict.damage.size(), 3);
    EXPECT_NE(verdict.damage[0].find("partclone header can't be read"), std::string::npos);
    EXPECT_NE(verdict.damage[1].find("bitmap of used blocks can't be read"), std::string::npos);
    EXPECT_NE(verdict.damage[2].find("strips 0 to 2"), std::string::npos);
    EXPECT_EQ(verdict.checked, 0);
}

TEST(PartcloneVerifyTest, ThrowsWhatIsNoDamage) {
    const auto good = build_partclone(spec(0x20, true)).stream;
    for (const int code : {EIO, ENOENT}) {
        try {
            verify(FaultySource(good, {.start = 500, .length = 1, .code = code}), good);
            ADD_FAILURE() << "no error";
        } catch (const std::system_error& error) {
            EXPECT_EQ(error.code().value(), code);
        }
    }
}

TEST(PartcloneVerifyTest, TellsHowFarItIsAndStopsWhenTold) {
    const auto good = build_partclone(large_spec(0x20, true)).stream;
    const auto layout = read_partclone_layout(MemorySource(good));
    uint64_t last = 0;
    verify_partclone(MemorySource(good), layout, {}, [&](uint64_t done, uint64_t total) {
        EXPECT_LE(last, done);
        EXPECT_EQ(total, good.size());
        last = done;
    });
    EXPECT_EQ(last, good.size());
    EXPECT_THROW(verify_partclone(MemorySource(good), layout, {},
                                  [](uint64_t, uint64_t) { fail(EINTR, "interrupted"); }),
                 std::system_error);
}

}  // namespace
}  // namespace imgfs
