// Rollback, prune and compaction: promises 2 and 8 of design.md. Invariants are those of
// fs/store/FORMAT.md.
#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <map>
#include <set>

#include "fs/base/fd.h"
#include "fs/store/prune.h"
#include "tests/support/crash_recorder.h"
#include "tests/support/delta_rig.h"
#include "tests/support/temp_dir.h"

namespace imgfs {
namespace {

using Contents = std::map<std::string, Bytes>;

/// A delta with points, and what each of them must show; its name for the present is "".
class HistoryTest : public testing::Test {
  protected:
    OpenDelta open(DeltaAccess access = DeltaAccess::read_write) {
        return open_delta({.folder = folder_,
                           .access = access,
                           .map_pieces = 64,
                           .watcher = access == DeltaAccess::read_write ? &recorder_ : nullptr},
                          image_);
    }

    void change(CowDevice& device, int commits = 3) {
        auto& model = now();
        for (int commit = 0; commit < commits; ++commit) {
            for (int i = 0; i < 4; ++i) {
                change_at_random(device, model, 9, random_);
            }
            device.flush();
        }
    }

    void make_point(const std::string& name) {
        auto opened = open();
        change(*opened.device);
        opened.device->seal({.name = name, .note = "note of " + name});
        contents_[name] = now();
    }

    Bytes& now() { return contents_[""]; }

    void prune_to(const std::set<std::string>& kept) {
        const auto opened = open();
        std::vector<bool> keeps;
        for (const auto& point : opened.store->points()) {
            keeps.push_back(kept.contains(point.name));
            if (!keeps.back()) {
                contents_.erase(point.name);
            }
        }
        prune(*opened.store, keeps, {});
        EXPECT_TRUE(same(read_all(*opened.device), now())) << "the store goes on after it";
    }

    void roll_back(const std::string& at) { open().store->roll_back(at); }

    static std::set<std::string> names_of(const DeltaStore& store) {
        std::set<std::string> names;
        for (const auto& point : store.points()) {
            names.insert(point.name);
        }
        return names;
    }

    std::set<std::string> names() { return names_of(*open(DeltaAccess::read_only).store); }

    void expect_right(const std::string& how) {
        ASSERT_TRUE(same(read_all(*open(DeltaAccess::read_only).device), now())) << how;
        std::set<std::string> expected;
        for (const auto& [name, content] : contents_) {
            if (!name.empty()) {
                expected.insert(name);
                ASSERT_TRUE(same(
                    read_all(*open_delta({.folder = folder_, .at = name}, image_).device), content))
                    << how << ": " << name;
            }
        }
        ASSERT_EQ(names(), expected) << how;
    }

    std::set<std::string> layer_files() const {
        std::set<std::string> files;
        for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
            if (entry.path().extension() == ".layer") {
                files.insert(entry.path().filename());
            }
        }
        return files;
    }

    const TempDir dir_{memory_directory()};
    std::filesystem::path folder_ = dir_ / "delta";
    const Bytes image_ = noise(60 * kBlockSize + 77, 1);
    Contents contents_{{"", image_}};
    std::mt19937_64 random_{3};
    CrashRecorder recorder_;
};

TEST_F(HistoryTest, APruneKeepsWhatItIsToldBitForBit) {
    for (const auto* name : {"a", "b", "c", "d", "e", "f"}) {
        make_point(name);
    }
    change(*open().device);
    prune_to({"b", "e", "f"});
    expect_right("three of six");
    EXPECT_EQ(layer_files().size(), 4) << "three points and what was changed after them";
    EXPECT_EQ(open().store->points()[1].note, "note of e");
    make_point("g");
    prune_to({"g"});
    expect_right("one of four");
    EXPECT_EQ(layer_files().size(), 1);
    change(*open().device);
    expect_right("and it goes on");
}

TEST_F(HistoryTest, TheNewestPointIsNeverPruned) {
    make_point("a");
    make_point("b");
    EXPECT_EQ(error_of([&] { prune(*open().store, {true, false}, {}); }), EINVAL);
    EXPECT_EQ(error_of([&] { prune(*open().store, {true}, {}); }), EINVAL);
    expect_right("refused");
}

TEST_F(HistoryTest, APruneThatFindsTheDiskFullChangesNothing) {
    for (const auto* name : {"a", "b", "c"}) {
        make_point(name);
    }
    const auto files = layer_files();
    recorder_.refusal = ENOSPC;
    recorder_.refuse = [](const FileChange& change) {
        return change.path.filename() == "000004.layer" && change.kind == FileChange::Kind::write &&
               change.offset > 3 * kHeaderSize;
    };
    EXPECT_EQ(error_of([&] { prune(*open().store, {false, false, true}, {}); }), ENOSPC);
    recorder_.refuse = {};
    expect_right("full");
    EXPECT_EQ(layer_files(), files);
    prune_to({"c"});
    expect_right("with space");
}

TEST_F(HistoryTest, ADamagedLayerIsNotMerged) {
    {
        auto opened = open();
        opened.device->write(0, noise(8 * kBlockSize, 2));
        opened.device->flush();
        opened.device->seal({.name = "a"});
    }
    open().device->seal({.name = "b"});
    auto bytes = read_file(folder_ / "000001.layer", kGiB);
    bytes[kLogStart + 700] ^= std::byte{1};
    std::filesystem::remove(folder_ / "000001.layer");
    write_file(folder_ / "000001.layer", bytes);
    const auto error = error_of([&] { prune(*open().store, {false, true}, {}); });
    EXPECT_EQ(error, EUCLEAN);
    EXPECT_EQ(layer_files(), (std::set<std::string>{"000001.layer", "000002.layer"}));
}

TEST_F(HistoryTest, ARollbackSetsAsideAndUndoPutsBack) {
    for (const auto* name : {"a", "b", "c"}) {
        make_point(name);
    }
    change(*open().device);
    const auto before = contents_;
    roll_back("a");
    contents_ = {{"", before.at("a")}, {"a", before.at("a")}};
    expect_right("rolled back");
    const auto aside = open().store->set_aside();
    ASSERT_EQ(aside.size(), 3);
    EXPECT_EQ(aside[0].name, "b");
    EXPECT_EQ(aside[2].name, "");
    open().store->undo_rollback();
    contents_ = before;
    expect_right("undone");
    change(*open().device);
    expect_right("and it goes on");
    EXPECT_EQ(error_of([&] { open().store->undo_rollback(); }), ENOENT);
}

// Nothing is lost by an undo either: it sets aside in its turn.
TEST_F(HistoryTest, AnUndoSetsAsideWhatHasComeSince) {
    make_point("a");
    make_point("b");
    const auto first = contents_;
    roll_back("base");
    contents_ = {{"", image_}};
    expect_right("at base");
    make_point("other");
    const auto second = contents_;
    for (int i = 0; i < 2; ++i) {
        open().store->undo_rollback();
        contents_ = first;
        expect_right("first again");
        open().store->undo_rollback();
        contents_ = second;
        expect_right("second again");
    }
    prune_to({"other"});
    expect_right("pruned");
    EXPECT_EQ(error_of([&] { open().store->undo_rollback(); }), ENOENT);
    EXPECT_EQ(layer_files().size(), 1);
}

TEST_F(HistoryTest, RollbacksAreUndoneLastFirst) {
    for (const auto* name : {"a", "b", "c"}) {
        make_point(name);
    }
    const auto all = contents_;
    roll_back("b");
    roll_back("a");
    open().store->undo_rollback();
    contents_ = {{"", all.at("b")}, {"a", all.at("a")}, {"b", all.at("b")}};
    expect_right("the second undone");
    open().store->undo_rollback();
    contents_ = all;
    expect_right("both undone");
}

TEST_F(HistoryTest, ThereIsNothingToRollBackAtTheNewestPoint) {
    make_point("a");
    EXPECT_EQ(error_of([&] { roll_back("a"); }), EINVAL);
    EXPECT_EQ(error_of([&] { roll_back("b"); }), ENOENT);
    expect_right("refused");
    EXPECT_EQ(error_of([&] { open(DeltaAccess::read_only).store->roll_back("base"); }), EROFS);
}

TEST_F(HistoryTest, ALayerThatWasOverwrittenManyTimesIsCompactedWhenSealed) {
    {
        auto opened = open();
        for (int i = 0; i < 30; ++i) {
            now() = noise(image_.size(), 100 + static_cast<uint64_t>(i));
            opened.device->write(0, now());
            opened.device->flush();
        }
        EXPECT_GT(opened.store->state().stored_bytes, 20 * image_.size());
        opened.device->seal({.name = "a"});
        contents_["a"] = now();
        EXPECT_LT(opened.store->state().stored_bytes, 2 * image_.size());
        EXPECT_TRUE(same(read_all(*opened.device), now()));
        change(*opened.device);
        EXPECT_TRUE(same(read_all(*opened.device), now()));
    }
    expect_right("compacted");
    EXPECT_EQ(layer_files().size(), 2);
}

/// What a crash in the middle of `change` may leave.
class HistoryCrashTest : public HistoryTest {
  protected:
    struct Step {
        size_t begin;
        size_t end;
        Contents before;
        Contents after;
    };

    void step(const std::function<void()>& change) {
        Step step{.begin = recorder_.count(), .before = contents_};
        change();
        step.end = recorder_.count();
        step.after = contents_;
        steps_.push_back(std::move(step));
    }

    void make_history() {
        for (const auto* name : {"a", "b", "c", "d", "e"}) {
            make_point(name);
        }
        change(*open().device);
        step([&] { prune_to({"b", "e"}); });
        const auto all = contents_;
        step([&] {
            roll_back("b");
            contents_ = {{"", all.at("b")}, {"b", all.at("b")}};
        });
        step([&] {
            open().store->undo_rollback();
            contents_ = all;
        });
        roll_back("base");
        contents_ = {{"", image_}};
        make_point("new");
        const auto other = contents_;
        step([&] {
            open().store->undo_rollback();
            contents_ = all;
        });
        step([&] { prune_to({"e"}); });
        rewrite_often();
        step([&] {
            open().device->seal({.name = "compact"});
            contents_["compact"] = now();
        });
    }

    void rewrite_often() {
        auto opened = open();
        for (int i = 0; i < 6; ++i) {
            now() = noise(image_.size(), 100 + static_cast<uint64_t>(i));
            opened.device->write(0, now());
            opened.device->flush();
        }
    }

    void expect_one_of(const Step& step, const std::string& how) {
        const auto opened = open_delta(crashed_, image_);
        const auto content = read_all(*opened.device);
        const auto names = names_of(*opened.store);
        for (const auto& [name, after] : step.after) {
            ASSERT_TRUE(name.empty() || names.contains(name) || !step.before.contains(name)) << how;
        }
        for (const auto& name : names) {
            const auto& side = step.before.contains(name) ? step.before : step.after;
            ASSERT_TRUE(side.contains(name)) << how << ": " << name;
            const auto point = open_delta({.folder = crashed_, .at = name}, image_);
            ASSERT_TRUE(same(read_all(*point.device), side.at(name))) << how << ": " << name;
        }
        ASSERT_TRUE(same(content, step.before.at("")) || same(content, step.after.at(""))) << how;
        ASSERT_EQ(left_over(), std::set<std::string>()) << how;
    }

    /// Layers that the list doesn't have in use.
    std::set<std::string> left_over() const {
        const auto list = parse_layer_list(read_file(crashed_ / "layers", kMiB), "layers");
        std::set<std::string> files;
        for (const auto& entry : std::filesystem::directory_iterator(crashed_)) {
            const auto name = entry.path().filename().string();
            if (name.ends_with(".layer") && std::filesystem::file_size(entry.path()) > kLogStart) {
                files.insert(name);
            }
        }
        for (const auto& name : file_names(list)) {
            files.erase(name);
        }
        files.insert(list.gone.begin(), list.gone.end());
        return files;
    }

    const std::filesystem::path crashed_ = dir_ / "crashed";
    std::vector<Step> steps_;
};

TEST_F(HistoryCrashTest, KilledAtAnyChangeAllThatStaysIsThere) {
    make_history();
    for (size_t number = 0; number < steps_.size(); ++number) {
        const auto& step = steps_[number];
        ASSERT_GT(step.end, step.begin);
        for (auto done = step.begin; done <= step.end; ++done) {
            recorder_.make_killed(done, 0, crashed_);
            ASSERT_NO_FATAL_FAILURE(expect_one_of(step, "step " + std::to_string(number) +
                                                            ", killed after change " +
                                                            std::to_string(done)));
        }
    }
}

TEST_F(HistoryCrashTest, WhateverAPowerCutLosesAllThatStaysIsThere) {
    make_history();
    std::mt19937_64 random(5);
    for (size_t number = 0; number < steps_.size(); ++number) {
        const auto& step = steps_[number];
        for (auto done = step.begin; done <= step.end; ++done) {
            for (int seed = 0; seed < 4; ++seed) {
                recorder_.make_power_cut(done, random, crashed_);
                ASSERT_NO_FATAL_FAILURE(expect_one_of(step, "step " + std::to_string(number) +
                                                                ", power cut after change " +
                                                                std::to_string(done)));
            }
        }
    }
}

}  // namespace
}  // namespace imgfs
