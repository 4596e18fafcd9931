#include "fs/store/cow_device.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <random>

#include "fs/base/error.h"
#include "tests/support/delta_rig.h"
#include "tests/support/source_contract.h"
#include "tests/support/temp_dir.h"

namespace imgfs {
namespace {

constexpr uint64_t kDeviceSize = 40 * kBlockSize + 700;  // its last block is short

class CowDeviceTest : public testing::Test {
  protected:
    CowDeviceTest() { open(); }

    void open(DeltaAccess access = DeltaAccess::read_write) {
        opened_ = {};
        opened_ = open_delta(dir_ / "delta", image_, access);
        device_ = opened_.device.get();
    }

    void write(uint64_t offset, ConstByteSpan bytes) {
        device_->write(offset, bytes);
        std::ranges::copy(bytes, model_.begin() + static_cast<ptrdiff_t>(offset));
    }

    void discard(uint64_t offset, uint64_t length) {
        device_->discard(offset, length);
        std::ranges::fill(ByteSpan(model_).subspan(offset, length), std::byte{});
    }

    const TempDir dir_{memory_directory()};
    const Bytes image_ = noise(kDeviceSize, 1);
    Bytes model_ = image_;
    OpenDelta opened_;
    CowDevice* device_ = nullptr;
};

TEST_F(CowDeviceTest, KeepsTheSourceContractWithoutADelta) {
    expect_keeps_source_contract(*device_, image_);
}

TEST_F(CowDeviceTest, KeepsTheSourceContractWithChangesInEveryPlace) {
    write(3 * kBlockSize, noise(9 * kBlockSize, 2));
    discard(20 * kBlockSize, 3 * kBlockSize);
    device_->flush();
    write(5 * kBlockSize + 100, noise(kBlockSize, 3));
    device_->cut();
    write(kDeviceSize - 900, noise(900, 4));
    expect_keeps_source_contract(*device_, model_);
}

TEST_F(CowDeviceTest, KeepsTheSourceContractAfterReopening) {
    write(3 * kBlockSize + 5, noise(9 * kBlockSize, 2));
    discard(20 * kBlockSize, 3 * kBlockSize);
    write(kDeviceSize - 900, noise(900, 4));
    device_->flush();
    open();
    expect_keeps_source_contract(*device_, model_);
    open(DeltaAccess::read_only);
    expect_keeps_source_contract(*device_, model_);
}

TEST_F(CowDeviceTest, AgreesWithAPlainArrayUnderRandomChanges) {
    std::mt19937_64 random(7);
    for (int round = 0; round < 25; ++round) {
        for (int i = 0; i < 8; ++i) {
            change_at_random(*device_, model_, 12, random);
            if (random() % 5 == 0) {
                device_->cut();
                change_at_random(*device_, model_, 12, random);
                ASSERT_TRUE(same(read_all(*device_), model_));
                device_->sync();
            }
            ASSERT_TRUE(same(read_all(*device_), model_));
        }
        device_->flush();
        if (random() % 2 == 0) {
            open();
        }
        ASSERT_TRUE(same(read_all(*device_), model_));
    }
}

TEST_F(CowDeviceTest, ReadsLongRangesOfTheBaseInOnePiece) {
    class CountingSource final : public Source {
      public:
        explicit CountingSource(int& reads) : reads_(reads) {}
        uint64_t size() const override { return kMiB; }
        std::string place(uint64_t) const override { return "counted"; }

      private:
        void read_inside(uint64_t, ByteSpan out) const override {
            ++reads_;
            std::ranges::fill(out, std::byte{1});
        }
        int& reads_;
    };
    int reads = 0;
    DeltaStore store({.folder = dir_ / "other",
                      .device_size = kMiB,
                      .access = DeltaAccess::read_write,
                      .use = "a test"});
    CowDevice device(std::make_unique<CountingSource>(reads), store);
    Bytes all(kMiB);
    device.read(0, all);
    EXPECT_EQ(reads, 1);
    device.write(100 * kBlockSize, noise(kBlockSize, 1));
    EXPECT_EQ(reads, 1);  // a whole block needs nothing from below
    device.read(0, all);
    EXPECT_EQ(reads, 3);
    device.flush();
    device.read(0, all);
    EXPECT_EQ(reads, 5);
}

// A delta that this version wrote once must open for ever.
TEST(GoldenDeltaTest, OpensTheDeltaOfTheFirstRelease) {
    Bytes image(40 * kBlockSize + 1000);
    for (size_t i = 0; i < image.size(); ++i) {
        image[i] = static_cast<std::byte>(i * 7 + i / kBlockSize);
    }
    const TempDir dir;
    std::filesystem::copy(TEST_DATA "/delta-1", dir / "delta");
    for (const auto access : {DeltaAccess::read_only, DeltaAccess::read_write}) {
        const auto opened = open_delta(dir / "delta", image, access);
        EXPECT_EQ(opened.store->state().commits, 3U);
        EXPECT_EQ(hex(xxh3_128(read_all(*opened.device))), "e8953615685deff583ca7e153aafb295");
    }
}

}  // namespace
}  // namespace imgfs
