// Promise 2 of design.md: after a crash at any moment the device is what it was at one commit, the
// last acknowledged one or a later one. Invariants are those of fs/store/FORMAT.md. IMGFS_SEED says
// which life the delta has.
#include <gtest/gtest.h>

#include <filesystem>
#include <iostream>

#include "fs/base/fd.h"
#include "fs/store/layer_format.h"
#include "tests/support/crash_recorder.h"
#include "tests/support/delta_rig.h"
#include "tests/support/long_form.h"
#include "tests/support/temp_dir.h"

namespace imgfs {
namespace {

constexpr uint64_t kDeviceSize = 14 * kBlockSize + 700;

// A life of a delta: commits, recovery points, reopening, and at the end changes that were not
// committed. Its maps are kept in files from a few pieces on.
class CrashTest : public testing::Test {
  protected:
    CrashTest() {
        std::mt19937_64 random(long_form("IMGFS_SEED", 11));
        auto model = image_;
        for (int session = 0; session < 3; ++session) {
            auto opened = open_delta({.folder = dir_ / "delta",
                                      .access = DeltaAccess::read_write,
                                      .map_pieces = kMapPieces,
                                      .watcher = &recorder_},
                                     image_);
            for (int commit = 0; commit < 4; ++commit) {
                for (int i = 0; i < 2; ++i) {
                    change_at_random(*opened.device, model, 3, random);
                }
                snapshots_.push_back(model);
                opened.device->flush();
                acknowledged_.push_back(recorder_.count());
                if (commit % 2 == 1) {
                    opened.device->seal({.name = "point-" + std::to_string(points_.size())});
                    points_.push_back({model, recorder_.count()});
                }
            }
        }
        std::filesystem::remove_all(dir_ / "delta");
    }
    ~CrashTest() override { std::cout << tries_ << " crash points\n"; }

    // Opens what a crash after `done` changes left.
    void expect_recovers(size_t done, const std::string& how) {
        const auto needed = static_cast<uint64_t>(std::ranges::upper_bound(acknowledged_, done) -
                                                  acknowledged_.begin()) -
                            1;
        {
            const auto opened = open_delta(crashed_, image_);
            const auto commits = opened.store->state().commits;
            ASSERT_GE(commits, needed) << how;
            ASSERT_LT(commits, snapshots_.size()) << how;
            ASSERT_TRUE(same(read_all(*opened.device), snapshots_[commits])) << how;
        }
        if (++tries_ % 8 == 0) {
            expect_points(done, how);
            expect_goes_on(how);
        }
    }

    // Promise 8: those whose seal() returned are there, as they were.
    void expect_points(size_t done, const std::string& how) {
        const auto points = open_delta(crashed_, image_, DeltaAccess::read_only).store->points();
        ASSERT_LE(points.size(), points_.size()) << how;
        for (size_t i = 0; i < points_.size(); ++i) {
            ASSERT_TRUE(i < points.size() || points_[i].made > done) << how;
            if (i < points.size()) {
                const auto opened = open_delta({.folder = crashed_, .at = points[i].name}, image_);
                ASSERT_TRUE(same(read_all(*opened.device), points_[i].content)) << how;
            }
        }
    }

    void expect_goes_on(const std::string& how) {
        auto opened = open_delta(crashed_, image_);
        auto model = read_all(*opened.device);
        std::mt19937_64 random(tries_);
        change_at_random(*opened.device, model, 3, random);
        opened.device->flush();
        opened = {};
        opened = open_delta(crashed_, image_, DeltaAccess::read_only);
        ASSERT_TRUE(same(read_all(*opened.device), model)) << how;
    }

    static constexpr uint64_t kMapPieces = 6;

    struct Point {
        Bytes content;
        size_t made;  // how many changes of files had been made by then
    };

    const TempDir dir_{memory_directory()};
    const std::filesystem::path crashed_ = dir_ / "crashed";
    const Bytes image_ = noise(kDeviceSize, 1);
    CrashRecorder recorder_;
    std::vector<Bytes> snapshots_{image_};  // by number of commit
    std::vector<size_t> acknowledged_{0};   // how many changes of files had been made by then
    std::vector<Point> points_;
    uint64_t tries_ = 0;
};

TEST_F(CrashTest, KilledAtAnyChangeItOpensAtTheLastCommit) {
    for (size_t done = 0; done <= recorder_.count(); ++done) {
        recorder_.make_killed(done, 0, crashed_);
        expect_recovers(done, "killed after change " + std::to_string(done));
        if (HasFatalFailure()) {
            return;
        }
    }
}

TEST_F(CrashTest, KilledInsideAnyWriteItOpensAtTheLastCommit) {
    constexpr size_t kSector = 512;
    for (size_t done = 0; done < recorder_.count(); ++done) {
        const auto length = recorder_.event(done).bytes.size();
        if (recorder_.event(done).kind != FileChange::Kind::write) {
            continue;
        }
        for (size_t torn = kSector; torn < length; torn += kSector) {
            recorder_.make_killed(done, torn, crashed_);
            expect_recovers(
                done, "torn at " + std::to_string(torn) + " of change " + std::to_string(done));
            if (HasFatalFailure()) {
                return;
            }
        }
    }
}

TEST_F(CrashTest, WhateverAPowerCutLosesItOpensAtTheLastCommit) {
    std::mt19937_64 random(long_form("IMGFS_SEED", 5));
    for (size_t done = 0; done <= recorder_.count(); ++done) {
        for (int seed = 0; seed < 8; ++seed) {
            recorder_.make_power_cut(done, random, crashed_);
            expect_recovers(done, "power cut after change " + std::to_string(done) + ", try " +
                                      std::to_string(seed));
            if (HasFatalFailure()) {
                return;
            }
        }
    }
}

// Invariant 6: the log ends at its last commit, wherever the tail is cut, and whatever stands
// there.
class TornTailTest : public testing::Test {
  protected:
    TornTailTest() {
        const TempDir scratch(memory_directory());
        auto opened = open_delta(scratch / "delta", image_);
        opened.device->write(kBlockSize, noise(2 * kBlockSize, 2));
        opened.device->flush();
        first_end_ = opened.store->log_end();
        before_ = read_all(*opened.device);
        opened.device->write(2 * kBlockSize, noise(kBlockSize, 3));
        opened.device->discard(5 * kBlockSize, kBlockSize);
        opened.device->flush();
        end_ = opened.store->log_end();
        after_ = read_all(*opened.device);
        std::filesystem::copy(scratch / "delta", folder_);  // as after a kill: not closed
        log_ = read_file(layer_, kGiB);
    }

    // The second commit, if it may be whole; else, or as well, the first.
    void expect_opens_at_a_commit(uint64_t cut) {
        const auto opened = open_delta(folder_, image_, DeltaAccess::read_only);
        const bool has_second = cut >= end_ - kCommitSize;  // one copy is enough
        const auto commits = opened.store->state().commits;
        ASSERT_TRUE(commits == 2 || (!has_second && commits == 1)) << cut;
        if (cut % 16 == 0) {
            ASSERT_TRUE(same(read_all(*opened.device), commits == 2 ? after_ : before_)) << cut;
        }
    }

    const TempDir dir_{memory_directory()};
    const std::filesystem::path folder_ = dir_ / "delta";
    const std::filesystem::path layer_ = folder_ / "000001.layer";
    const Bytes image_ = noise(kDeviceSize, 1);
    uint64_t first_end_ = 0;
    uint64_t end_ = 0;
    Bytes before_;
    Bytes after_;
    Bytes log_;
};

TEST_F(TornTailTest, CutAtEveryByteOfTheLastTransactionItOpensAtACommit) {
    std::filesystem::resize_file(layer_, end_);
    for (auto cut = end_; cut >= first_end_; --cut) {
        const bool in_zeros = cut > end_ - 2 * kCommitSize && cut % kCommitSize > 128;
        if (in_zeros && cut % 16 != 0) {
            continue;  // the end of a commit's 4 KiB, whose zeros are all alike
        }
        std::filesystem::resize_file(layer_, cut);
        ASSERT_NO_FATAL_FAILURE(expect_opens_at_a_commit(cut));
    }
    EXPECT_EQ(read_all(*open_delta(folder_, image_).device), before_);
}

TEST_F(TornTailTest, GarbageInTheTailIsNotBelieved) {
    const ConstByteSpan old_records = ConstByteSpan(log_).subspan(first_end_);
    for (auto cut = first_end_; cut < end_; cut += 173) {
        for (const auto& tail : {Bytes(20'000, std::byte{0xFF}), Bytes(20'000), noise(20'000, cut),
                                 Bytes(old_records.begin(), old_records.end())}) {
            Bytes content(log_.begin(), log_.begin() + static_cast<ptrdiff_t>(cut));
            content.insert(content.end(), tail.begin(), tail.end());
            if (cut == first_end_ && tail.size() == old_records.size()) {
                continue;  // that is the whole log again
            }
            write_file(layer_, content);
            ASSERT_NO_FATAL_FAILURE(expect_opens_at_a_commit(cut));
        }
    }
}

}  // namespace
}  // namespace imgfs
