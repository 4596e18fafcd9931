#include "fs/store/cow_device.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "fs/base/error.h"
#include "tests/support/memory_source.h"
#include "tests/support/source_contract.h"
#include "tests/support/temp_dir.h"

namespace imgfs {
namespace {

constexpr uint64_t kDeviceSize = 40 * kBlockSize + 700;  // its last block is short

class CowDeviceTest : public testing::Test {
  protected:
    CowDeviceTest() { open(); }

    void open(DeltaAccess access = DeltaAccess::read_write) {
        device_.reset();
        store_.reset();
        store_ = std::make_unique<DeltaStore>(DeltaOptions{.folder = dir_ / "delta",
                                                           .device_size = kDeviceSize,
                                                           .access = access,
                                                           .use = "a test"});
        device_ = std::make_unique<CowDevice>(std::make_unique<MemorySource>(image_), *store_);
    }

    void write(uint64_t offset, ConstByteSpan bytes) {
        device_->write(offset, bytes);
        std::ranges::copy(bytes, model_.begin() + static_cast<ptrdiff_t>(offset));
    }

    void discard(uint64_t offset, uint64_t length) {
        device_->discard(offset, length);
        std::ranges::fill(ByteSpan(model_).subspan(offset, length), std::byte{});
    }

    void change_at_random(std::mt19937_64& random) {
        const auto offset = random() % kDeviceSize;
        const auto most = std::min<uint64_t>(kDeviceSize - offset, 12 * kBlockSize);
        const auto length = random() % 3 == 0 ? most : random() % most;
        if (random() % 4 == 0) {
            discard(offset, length);
        } else {
            write(offset, random() % 6 == 0 ? Bytes(length) : noise(length, random()));
        }
    }

    const TempDir dir_;
    const Bytes image_ = noise(kDeviceSize, 1);
    Bytes model_ = image_;
    std::unique_ptr<DeltaStore> store_;
    std::unique_ptr<CowDevice> device_;
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
    for (int round = 0; round < 60; ++round) {
        for (int i = 0; i < 8; ++i) {
            change_at_random(random);
            if (random() % 5 == 0) {
                device_->cut();
                change_at_random(random);
                ASSERT_EQ(read_all(*device_), model_);
                device_->sync();
            }
            ASSERT_EQ(read_all(*device_), model_);
        }
        device_->flush();
        if (random() % 2 == 0) {
            open();
        }
        ASSERT_EQ(read_all(*device_), model_);
    }
}

}  // namespace
}  // namespace imgfs
