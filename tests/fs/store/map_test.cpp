// Maps of changes in files: promises 4 and 7 of design.md.
#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>

#include "fs/base/fd.h"
#include "tests/support/crash_recorder.h"
#include "tests/support/delta_rig.h"
#include "tests/support/temp_dir.h"

namespace imgfs {
namespace {

class MapTest : public testing::Test {
  protected:
    static constexpr uint64_t kFew = 64;

    OpenDelta open(DeltaAccess access, uint64_t map_pieces = kFew) const {
        return open_delta({.folder = folder_, .access = access, .map_pieces = map_pieces}, image_);
    }

    void change(CowDevice& device, int commits) {
        for (int commit = 0; commit < commits; ++commit) {
            for (int i = 0; i < 10; ++i) {
                change_at_random(device, model_, 4, random_);
            }
            device.flush();
        }
    }

    std::vector<std::filesystem::path> maps() const {
        std::vector<std::filesystem::path> found;
        for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
            if (entry.path().filename().string().find(".map-") != std::string::npos) {
                found.push_back(entry.path());
            }
        }
        return found;
    }

    void expect_right(DeltaAccess access, const std::string& how) const {
        ASSERT_TRUE(same(read_all(*open(access).device), model_)) << how;
    }

    const TempDir dir_{memory_directory()};
    const std::filesystem::path folder_ = dir_ / "delta";
    const Bytes image_ = noise(1000 * kBlockSize, 1);
    Bytes model_ = image_;
    std::mt19937_64 random_{5};
};

TEST_F(MapTest, FewFilesHoldManyPieces) {
    for (int session = 0; session < 4; ++session) {
        auto opened = open(DeltaAccess::read_write);
        change(*opened.device, 60);
        EXPECT_LE(maps().size(), 7);
        ASSERT_TRUE(same(read_all(*opened.device), model_));
    }
    EXPECT_GE(maps().size(), 1);
    expect_right(DeltaAccess::read_only, "closed");
    expect_right(DeltaAccess::read_write, "closed");
}

TEST_F(MapTest, ASealedLayerHasOneOfAllOfIt) {
    for (const int commits : {1, 20}) {
        change(*open(DeltaAccess::read_write).device, commits);  // closed, which may write one
        open(DeltaAccess::read_write).device->seal({.name = "after-" + std::to_string(commits)});
    }
    const auto found = maps();
    ASSERT_EQ(found.size(), 2);
    const auto list = parse_layer_list(read_file(folder_ / "layers", kMiB), "layers");
    for (const auto& layer : list.layers) {
        const auto name =
            layer.file.substr(0, 6) + ".map-" + std::to_string(layer.seal->transactions);
        EXPECT_EQ(std::ranges::count(found, folder_ / name), 1) << name;
    }
    expect_right(DeltaAccess::read_only, "sealed");
}

TEST_F(MapTest, WhatTheDeltaHasIsFoundInOrder) {
    auto opened = open(DeltaAccess::read_write);
    change(*opened.device, 40);
    std::vector<bool> found(image_.size() / kBlockSize);
    for (auto block = opened.store->next(0); block; block = opened.store->next(*block + 1)) {
        found[*block] = true;
    }
    for (uint64_t block = 0; block < found.size(); ++block) {
        const auto pieces = opened.store->find(block, block + 1);
        ASSERT_EQ(pieces.size(), 1);
        ASSERT_EQ(pieces[0].kind != StoredPiece::Kind::absent, found[block]) << block;
    }
}

TEST_F(MapTest, AMapThatIsDamagedOrGoneIsMadeAgain) {
    change(*open(DeltaAccess::read_write).device, 60);
    for (int i = 0; i < 30; ++i) {
        auto files = maps();
        ASSERT_FALSE(files.empty());
        const auto& victim = files[random_() % files.size()];
        auto bytes = read_file(victim, kGiB);
        const auto way = random_() % 4;
        if (way == 0) {
            std::filesystem::remove(victim);
        } else if (way == 1) {
            std::filesystem::resize_file(victim, random_() % bytes.size());
        } else {
            bytes[random_() % bytes.size()] ^= std::byte(1U << random_() % 8);
            write_file(victim, bytes);
        }
        ASSERT_NO_FATAL_FAILURE(expect_right(DeltaAccess::read_only, std::to_string(i)));
        ASSERT_NO_FATAL_FAILURE(expect_right(DeltaAccess::read_write, std::to_string(i)));
    }
}

// As after the folder's layer was put back from an older copy.
TEST_F(MapTest, AMapOfAnotherLogIsNotBelieved) {
    change(*open(DeltaAccess::read_write).device, 20);
    const auto older_model = model_;
    const auto older = read_file(folder_ / "000001.layer", kGiB);
    change(*open(DeltaAccess::read_write).device, 20);
    write_file(folder_ / "000001.layer", older);
    model_ = older_model;
    expect_right(DeltaAccess::read_only, "older");
    expect_right(DeltaAccess::read_write, "older");
}

TEST_F(MapTest, ReadingWritesNothingIntoTheFolder) {
    change(*open(DeltaAccess::read_write, 1'000'000).device, 60);
    expect_right(DeltaAccess::read_only, "without maps");
    EXPECT_TRUE(maps().empty());
}

TEST_F(MapTest, AMapThatCantBeWrittenIsNoLoss) {
    CrashRecorder recorder;
    recorder.refusal = ENOSPC;
    recorder.refuse = [](const FileChange& change) {
        return change.path.filename().string().find(".map-") != std::string::npos &&
               change.kind == FileChange::Kind::write;
    };
    {
        auto opened = open_delta({.folder = folder_,
                                  .access = DeltaAccess::read_write,
                                  .map_pieces = kFew,
                                  .watcher = &recorder},
                                 image_);
        change(*opened.device, 30);
        ASSERT_TRUE(same(read_all(*opened.device), model_));
    }
    expect_right(DeltaAccess::read_write, "afterwards");
}

}  // namespace
}  // namespace imgfs
