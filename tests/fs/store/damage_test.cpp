// Promise 4 of design.md: what comes back is what was written, or an error. Invariants are those of
// fs/store/FORMAT.md.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>

#include "fs/base/fd.h"
#include "fs/store/layer_format.h"
#include "tests/support/delta_rig.h"
#include "tests/support/temp_dir.h"

namespace imgfs {
namespace {

// A small delta of two commits, closed or not.
class DamageTest : public testing::Test {
  protected:
    DamageTest() {
        auto opened = open_delta(folder_, image_);
        opened.device->write(kBlockSize, noise(3 * kBlockSize, 2));
        opened.device->write(9 * kBlockSize, noise(kBlockSize, 3));
        opened.device->write(10 * kBlockSize, Bytes(2 * kBlockSize, std::byte{'x'}));  // packed
        opened.device->flush();
        first_end_ = opened.store->log_end();
        opened.device->write(2 * kBlockSize + 9, noise(kBlockSize, 4));
        opened.device->discard(6 * kBlockSize, 2 * kBlockSize);
        opened.device->flush();
        end_ = opened.store->log_end();
        expected_ = read_all(*opened.device);
        std::filesystem::copy(folder_, unclosed_);
        opened = {};
        std::filesystem::resize_file(unclosed_ / "000001.layer", end_);
    }

    void flip(const std::filesystem::path& file, uint64_t offset, int bit) {
        const auto fd = open_file(file, O_RDWR);
        std::array<std::byte, 1> byte{};
        ASSERT_EQ(read_some(fd.get(), offset, byte, "a test"), 1U);
        byte[0] ^= std::byte(1U << static_cast<unsigned>(bit));
        write_exactly(fd.get(), offset, byte, "a test");
    }

    // True if the damage was seen; false if everything is right in spite of it.
    bool is_seen(const std::filesystem::path& folder) {
        try {
            const auto opened = open_delta(folder, image_, DeltaAccess::read_only);
            EXPECT_TRUE(same(read_all(*opened.device), expected_));
            return false;
        } catch (const std::system_error& error) {
            EXPECT_EQ(errno_of(error), EUCLEAN) << message_of(error);
            EXPECT_NE(message_of(error).find(folder.string()), std::string::npos);
            return true;
        }
    }

    // How many bits of this byte are tried: more where a few bytes decide about a record.
    static int tries_at(uint64_t offset) {
        const auto in_page = offset % kCommitSize;
        const bool decides = in_page < 128 || in_page >= kCommitSize - 8;
        return decides ? 2 : offset % 13 == 0 ? 1 : 0;
    }

    int flip_all(const std::filesystem::path& folder) {
        const auto layer = folder / "000001.layer";
        int seen = 0;
        for (uint64_t offset = 0; offset < end_; ++offset) {
            for (int i = 0; i < tries_at(offset); ++i) {
                const auto bit = static_cast<int>((offset + static_cast<uint64_t>(i) * 4) % 8);
                flip(layer, offset, bit);
                seen += is_seen(folder) ? 1 : 0;
                flip(layer, offset, bit);
                if (HasFailure()) {
                    ADD_FAILURE() << "bit " << bit << " of byte " << offset;
                    return seen;
                }
            }
        }
        return seen;
    }

    const TempDir dir_{memory_directory()};
    const std::filesystem::path folder_ = dir_ / "delta";
    const std::filesystem::path unclosed_ = dir_ / "unclosed";
    const Bytes image_ = noise(12 * kBlockSize + 700, 1);
    Bytes expected_;
    uint64_t first_end_ = 0;
    uint64_t end_ = 0;
};

TEST_F(DamageTest, NoFlippedBitOfAClosedLayerGivesWrongBytesOrAnOlderState) {
    EXPECT_GT(flip_all(folder_), 1000);
}

TEST_F(DamageTest, NoFlippedBitOfAnUnclosedLayerGivesWrongBytesOrAnOlderState) {
    EXPECT_GT(flip_all(unclosed_), 1000);
}

TEST_F(DamageTest, EveryFlippedBitOfTheListIsSeen) {
    const auto size = std::filesystem::file_size(folder_ / "layers");
    for (uint64_t offset = 0; offset < size; ++offset) {
        for (int bit = 0; bit < 8; ++bit) {
            flip(folder_ / "layers", offset, bit);
            EXPECT_TRUE(is_seen(folder_)) << "bit " << bit << " of byte " << offset;
            flip(folder_ / "layers", offset, bit);
        }
    }
}

TEST_F(DamageTest, NamesFileAndOffset) {
    const auto data = kLogStart + kRecordHeaderSize + 3 * kHashSize;
    flip(folder_ / "000001.layer", data + 17, 3);
    const auto opened = open_delta(folder_, image_, DeltaAccess::read_only);
    Bytes bytes(kBlockSize);
    const auto line = line_of([&] { opened.device->read(kBlockSize, bytes); });
    EXPECT_NE(line.find("000001.layer: damaged at byte 8,280"), std::string::npos) << line;
    opened.device->read(9 * kBlockSize, bytes);  // what is whole is still read
}

TEST_F(DamageTest, ALayerCutShortAfterACleanCloseIsDamage) {
    for (const auto size :
         {end_ - kCommitSize - 1, first_end_, kLogStart, uint64_t{4096}, uint64_t{0}}) {
        std::filesystem::resize_file(folder_ / "000001.layer", size);
        EXPECT_TRUE(is_seen(folder_)) << size;
    }
}

TEST_F(DamageTest, AMissingLayerOrListIsDamage) {
    std::filesystem::remove(folder_ / "layers");
    EXPECT_TRUE(is_seen(folder_));
    EXPECT_EQ(error_of([&] { open_delta(folder_, image_); }), EUCLEAN);
    EXPECT_TRUE(std::filesystem::exists(folder_ / "000001.layer"));
    std::filesystem::remove(unclosed_ / "000001.layer");
    EXPECT_TRUE(is_seen(unclosed_));
}

TEST_F(DamageTest, ABadCopyOfACommitIsMendedByTheNextWriter) {
    const auto layer = unclosed_ / "000001.layer";
    const auto whole = read_file(layer, kMiB);
    flip(layer, first_end_ - 2 * kCommitSize + 70, 2);
    flip(layer, end_ - 100, 2);
    open_delta(unclosed_, image_);
    const auto mended = read_file(layer, kMiB);
    EXPECT_TRUE(std::ranges::equal(ConstByteSpan(mended).subspan(kLogStart),
                                   ConstByteSpan(whole).subspan(kLogStart)));
}

TEST_F(DamageTest, BothCopiesOfACommitThatHasOneBehindItAreDamage) {
    flip(unclosed_ / "000001.layer", first_end_ - 2 * kCommitSize, 0);
    flip(unclosed_ / "000001.layer", first_end_ - kCommitSize, 0);
    EXPECT_TRUE(is_seen(unclosed_));
}

TEST_F(DamageTest, RecordsOfAnotherLayerAreNotBelieved) {
    auto other = open_delta(dir_ / "other", image_);
    other.device->write(kBlockSize, noise(3 * kBlockSize, 12));
    other.device->write(9 * kBlockSize, noise(kBlockSize, 13));
    other.device->flush();
    const auto foreign = read_file(dir_ / "other" / "000001.layer", kGiB);
    const auto fd = open_file(unclosed_ / "000001.layer", O_RDWR);
    write_exactly(fd.get(), kLogStart,
                  ConstByteSpan(foreign).subspan(kLogStart, first_end_ - kLogStart), "a test");
    EXPECT_TRUE(is_seen(unclosed_));
}

// Hostile input: any bytes at all give an error or a device, never a crash.
TEST_F(DamageTest, AnyBytesAreRefusedOrRead) {
    std::mt19937_64 random(3);
    const auto layer = unclosed_ / "000001.layer";
    const auto whole = read_file(layer, kMiB);
    for (int round = 0; round < 400; ++round) {
        auto content = whole;
        for (int i = 0; i < 6; ++i) {
            const auto at = random() % content.size() / 8 * 8;
            const auto place =
                ByteSpan(content).subspan(at, std::min<size_t>(8, content.size() - at));
            std::ranges::copy(noise(place.size(), random()), place.begin());
        }
        content.resize(content.size() - random() % 3 * 1000);
        write_file(layer, content);
        const auto error = error_of(
            [&] { read_all(*open_delta(unclosed_, image_, DeltaAccess::read_only).device); });
        EXPECT_TRUE(error == 0 || error == EUCLEAN || error == ENOTSUP) << error;
    }
}

class FeatureTest : public DamageTest {
  protected:
    void set_flags(uint64_t offset, uint32_t flags) {
        auto content = read_file(folder_ / "000001.layer", kMiB);
        for (const auto copy : {uint64_t{0}, kHeaderSize}) {
            const auto header = ByteSpan(content).subspan(copy, kHeaderSize);
            store(header, offset, flags);
            store(header, kHeaderSize - 8, xxh3_64(header.first(kHeaderSize - 8)));
        }
        write_file(folder_ / "000001.layer", content);
    }
};

TEST_F(FeatureTest, AnUnknownIncompatibleFeatureIsRefusedByName) {
    set_flags(16, 0x20);
    const auto line = line_of([&] { open_delta(folder_, image_, DeltaAccess::read_only); });
    EXPECT_NE(line.find("incompat 32"), std::string::npos) << line;
}

TEST_F(FeatureTest, AnUnknownReadOnlyFeatureIsReadAndNotWritten) {
    set_flags(20, 1);
    EXPECT_EQ(read_all(*open_delta(folder_, image_, DeltaAccess::read_only).device), expected_);
    EXPECT_EQ(error_of([&] { open_delta(folder_, image_); }), EROFS);
}

TEST_F(FeatureTest, AnUnknownCompatibleFeatureIsIgnored) {
    set_flags(24, 0xFFFF);
    EXPECT_EQ(read_all(*open_delta(folder_, image_).device), expected_);
}

}  // namespace
}  // namespace imgfs
