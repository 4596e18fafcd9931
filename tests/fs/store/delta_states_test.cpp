// States of one delta side by side.
#include "fs/store/delta_states.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "tests/support/delta_rig.h"
#include "tests/support/temp_dir.h"

namespace imgfs {
namespace {

class DeltaStatesTest : public testing::Test {
  protected:
    OpenDelta open(DeltaAccess access = DeltaAccess::read_only) const {
        return open_delta(folder_, image_, access);
    }

    Bytes content_of(DeltaStore& state) const {
        return read_all(CowDevice(std::make_unique<MemorySource>(image_), state));
    }

    /// The device at `base`, at each of the points "1", "2" …, and in the end.
    std::vector<Bytes> make_points(int count) {
        std::mt19937_64 random(7);
        std::vector<Bytes> contents = {image_};
        auto model = image_;
        const auto opened = open(DeltaAccess::read_write);
        for (int point = 1; point <= count + 1; ++point) {
            for (int i = 0; i < 6; ++i) {
                change_at_random(*opened.device, model, 9, random);
            }
            opened.device->flush();
            contents.push_back(model);
            if (point <= count) {
                opened.device->seal({.name = std::to_string(point)});
            }
        }
        return contents;
    }

    const TempDir dir_{memory_directory()};
    const std::filesystem::path folder_ = dir_ / "delta";
    const Bytes image_ = noise(300 * kBlockSize + 77, 1);
};

TEST_F(DeltaStatesTest, EachShowsWhatItsPointIs) {
    const auto contents = make_points(4);
    const auto whole = open();
    EXPECT_TRUE(same(content_of(*whole.store->at("base")), contents[0]));
    for (int point = 1; point <= 4; ++point) {
        const auto state = whole.store->at(std::to_string(point));
        EXPECT_TRUE(same(content_of(*state), contents[static_cast<size_t>(point)])) << point;
        EXPECT_EQ(state->points().size(), point);
        EXPECT_TRUE(state->read_only());
        EXPECT_EQ(state->state().unsealed_bytes, 0U);
    }
    EXPECT_TRUE(same(content_of(*whole.store), contents[5]));
}

TEST_F(DeltaStatesTest, WhatIsSaidToBeTheSameIsAndWhatWasNotWrittenIsSaidToBe) {
    const auto contents = make_points(4);
    const auto whole = open();
    std::vector<std::unique_ptr<DeltaStore>> states;
    for (const auto* at : {"base", "1", "2", "3", "4"}) {
        states.push_back(whole.store->at(at));
    }
    uint64_t same_count = 0;
    for (size_t one = 0; one < states.size(); ++one) {
        for (size_t other = 0; other < states.size(); ++other) {
            for (uint64_t at = 0; at < image_.size(); at += kBlockSize) {
                const auto length = std::min<uint64_t>(3 * kBlockSize, image_.size() - at);
                const bool is_same = same_bytes(*states[one], *states[other], at, length);
                same_count += is_same ? 1 : 0;
                EXPECT_TRUE(!is_same || same(ConstByteSpan(contents[one]).subspan(at, length),
                                             ConstByteSpan(contents[other]).subspan(at, length)));
                EXPECT_TRUE(is_same || one != other);
            }
        }
    }
    EXPECT_GT(same_count, 5 * blocks_of(image_.size())) << "more than each state with itself";
}

TEST_F(DeltaStatesTest, AStoreForChangesHasNone) {
    make_points(1);
    const auto opened = open(DeltaAccess::read_write);
    EXPECT_EQ(error_of([&] { opened.store->at("1"); }), EINVAL);
    EXPECT_EQ(error_of([&] { open().store->at("2"); }), ENOENT);
}

TEST_F(DeltaStatesTest, WithoutADeltaThereIsTheBase) {
    const auto whole = open();
    EXPECT_TRUE(same(content_of(*whole.store->at("base")), image_));
    EXPECT_TRUE(same_bytes(*whole.store, *whole.store->at("base"), 0, image_.size()));
    EXPECT_EQ(error_of([&] { whole.store->at("one"); }), ENOENT);
}

}  // namespace
}  // namespace imgfs
