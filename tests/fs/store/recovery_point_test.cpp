// Recovery points: promises 4, 8 and 9 of design.md. Invariants are those of fs/store/FORMAT.md.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <ctime>
#include <filesystem>

#include "fs/base/fd.h"
#include "tests/support/crash_recorder.h"
#include "tests/support/delta_rig.h"
#include "tests/support/temp_dir.h"

namespace imgfs {
namespace {

class RecoveryPointTest : public testing::Test {
  protected:
    OpenDelta open(DeltaAccess access = DeltaAccess::read_write) const {
        return open_delta(folder_, image_, access);
    }

    Bytes content_at(const std::string& at) const {
        return read_all(*open_delta({.folder = folder_, .at = at}, image_).device);
    }

    /// A point for each name, with changes before it; gives what the device is then.
    std::vector<Bytes> make_points(const std::vector<std::string>& names) {
        std::vector<Bytes> contents;
        auto opened = open();
        for (const auto& name : names) {
            for (int i = 0; i < 20; ++i) {
                change_at_random(*opened.device, model_, 9, random_);
            }
            opened.device->flush();
            opened.device->seal({.name = name, .note = "before " + name});
            contents.push_back(model_);
        }
        return contents;
    }

    int error_of_sealing(const std::string& name) const {
        const auto opened = open();
        return error_of([&] { opened.device->seal({.name = name}); });
    }

    const TempDir dir_{memory_directory()};
    const std::filesystem::path folder_ = dir_ / "delta";
    const Bytes image_ = noise(200 * kBlockSize + 77, 1);
    Bytes model_ = image_;
    std::mt19937_64 random_{3};
};

TEST_F(RecoveryPointTest, EachPointStaysAsItWas) {
    const std::vector<std::string> names = {"one", "2026-11-20", "push-2026-11-21T020014Z", "four"};
    const auto contents = make_points(names);
    for (size_t i = 0; i < names.size(); ++i) {
        EXPECT_TRUE(same(content_at(names[i]), contents[i])) << names[i];
    }
    EXPECT_TRUE(same(content_at("base"), image_));
    auto opened = open();
    EXPECT_TRUE(same(read_all(*opened.device), model_));
    change_at_random(*opened.device, model_, 9, random_);
    opened.device->flush();
    opened = {};
    EXPECT_TRUE(same(read_all(*open().device), model_));
    EXPECT_TRUE(same(content_at("four"), contents.back()));
}

TEST_F(RecoveryPointTest, TheyAreListedWithTimeNoteAndSize) {
    const auto before = std::chrono::system_clock::now();
    make_points({"one", "two"});
    const auto points = open(DeltaAccess::read_only).store->points();
    ASSERT_EQ(points.size(), 2);
    EXPECT_EQ(points[0].name, "one");
    EXPECT_EQ(points[0].note, "before one");
    EXPECT_GE(points[0].time, before);
    EXPECT_LE(points[0].time, points[1].time);
    EXPECT_EQ(points[1].bytes, std::filesystem::file_size(folder_ / "000002.layer"));
    EXPECT_EQ(open_delta({.folder = folder_, .at = "one"}, image_).store->points().size(), 1);
}

TEST_F(RecoveryPointTest, APointCanBeMadeOfNothing) {
    open().device->seal({.name = "start"});
    EXPECT_TRUE(same(content_at("start"), image_));
    const auto contents = make_points({"one"});
    open().device->seal({.name = "again"});
    EXPECT_TRUE(same(content_at("again"), contents.back()));
    EXPECT_EQ(open(DeltaAccess::read_only).store->points().size(), 3);
}

TEST_F(RecoveryPointTest, WhatIsWrittenAfterTheCommitIsNotInThePoint) {
    {
        auto opened = open();
        opened.device->write(0, noise(kBlockSize, 5));
        opened.device->flush();
        const auto at_point = read_all(*opened.device);
        opened.device->write(kBlockSize, noise(kBlockSize, 6));
        opened.device->seal({.name = "one"});
        opened.device->flush();
        model_ = read_all(*opened.device);
        EXPECT_TRUE(same(content_at("one"), at_point));
    }
    EXPECT_TRUE(same(read_all(*open().device), model_));
}

TEST_F(RecoveryPointTest, AnyNoteComesBack) {
    using namespace std::string_literals;
    const std::string note = "caf\xC3\xA9 \n\0 \"=%\xFF"s;
    open().device->seal({.name = "one", .note = note});
    EXPECT_EQ(open().store->points().at(0).note, note);
}

TEST_F(RecoveryPointTest, NamesThatCantBeAreRefusedAndNothingIsChanged) {
    make_points({"one"});
    const auto list = read_file(folder_ / "layers", kMiB);
    for (const auto* name : {"", "base", "-x", "a/b", "..\n", "a b", "\xC3\xA9"}) {
        EXPECT_EQ(error_of_sealing(name), EINVAL) << name;
    }
    EXPECT_EQ(error_of_sealing(std::string(65, 'a')), EINVAL);
    EXPECT_EQ(error_of_sealing("one"), EEXIST);
    EXPECT_EQ(read_file(folder_ / "layers", kMiB), list);
    EXPECT_EQ(error_of_sealing(std::string(64, 'a')), 0);
}

TEST_F(RecoveryPointTest, AStateThatIsntThereIsRefused) {
    EXPECT_EQ(error_of([&] { content_at("one"); }), ENOENT);
    EXPECT_TRUE(same(content_at("base"), image_));
    make_points({"one"});
    EXPECT_EQ(error_of([&] { content_at("two"); }), ENOENT);
    EXPECT_EQ(error_of([&] { content_at("2020-01-01"); }), ENOENT);
    EXPECT_EQ(error_of([&] {
                  open_delta({.folder = folder_, .access = DeltaAccess::read_write, .at = "one"},
                             image_);
              }),
              EINVAL);
}

TEST_F(RecoveryPointTest, ADateIsTheNewestPointUpToTheEndOfThatDay) {
    const auto contents = make_points({"one", "two"});
    auto list = parse_layer_list(read_file(folder_ / "layers", kMiB), "layers");
    std::tm noon{};
    ::strptime("2026-11-20 12:00", "%Y-%m-%d %H:%M", &noon);
    noon.tm_isdst = -1;
    list.layers[0].seal->time_ns = int64_t{std::mktime(&noon)} * 1'000'000'000;
    write_file(folder_ / "layers", bytes_of(format_layer_list(list)));
    EXPECT_TRUE(same(content_at("2026-11-20"), contents[0]));
    EXPECT_TRUE(same(content_at("2026-11-21"), contents[0]));
    EXPECT_TRUE(same(content_at("2999-01-01"), contents[1]));
    EXPECT_EQ(error_of([&] { content_at("2026-11-19"); }), ENOENT);
}

// Invariant 10.
TEST_F(RecoveryPointTest, ASealedLayerThatIsNotWhatItWasIsDamage) {
    make_points({"one", "two"});
    const auto layer = folder_ / "000001.layer";
    const auto good = read_file(layer, kGiB);
    const auto expect_refused = [&](const std::string& how) {
        EXPECT_EQ(error_of([&] { content_at("two"); }), EUCLEAN) << how;
    };
    write_file(layer, ConstByteSpan(good).first(good.size() - kCommitSize * 2));
    expect_refused("cut");
    std::filesystem::copy_file(folder_ / "000002.layer", layer,
                               std::filesystem::copy_options::overwrite_existing);
    expect_refused("another");
    std::filesystem::remove(layer);
    expect_refused("gone");
    write_file(layer, good);
    EXPECT_TRUE(same(content_at("two"), model_));
}

// Invariant 8: of a folder that was put back in part.
TEST_F(RecoveryPointTest, ALayerThatAnOlderListDoesntNameIsDamage) {
    make_points({"one"});
    const auto list = read_file(folder_ / "layers", kMiB);
    make_points({"two"});
    write_file(folder_ / "layers", list);
    EXPECT_EQ(error_of([&] { open(); }), EUCLEAN);
}

// Whoever isn't root couldn't open it for writing again.
TEST_F(RecoveryPointTest, ALayerCanBeWrittenUntilItIsListedAsAPoint) {
    CrashRecorder recorder;
    recorder.refusal = EIO;
    recorder.refuse = [](const FileChange& change) {
        return change.kind == FileChange::Kind::replace &&
               text_of(change.bytes).find(" sealed ") != std::string_view::npos;
    };
    {
        const auto opened = open_delta(folder_, image_, DeltaAccess::read_write, &recorder);
        opened.device->write(0, noise(kBlockSize, 5));
        opened.device->flush();
        EXPECT_EQ(error_of([&] { opened.device->seal({.name = "one"}); }), EIO);
    }
    const auto layer = folder_ / "000001.layer";
    const auto owner_write = std::filesystem::perms::owner_write;
    EXPECT_EQ(std::filesystem::status(layer).permissions() & owner_write, owner_write);
    open().device->seal({.name = "one"});
    EXPECT_EQ(std::filesystem::status(layer).permissions(), std::filesystem::perms::owner_read);
}

// What stands in a folder that others may write is not followed, nor waited for.
TEST_F(RecoveryPointTest, LinksAndPipesInTheFolderAreNotOpened) {
    make_points({"one"});
    write_file(dir_ / "other", bytes_of("mine"));
    std::filesystem::create_symlink(dir_ / "other", folder_ / "layers.new");
    make_points({"two"});
    EXPECT_EQ(text_of(read_file(dir_ / "other", kMiB)), "mine");
    ASSERT_EQ(::mkfifo((folder_ / "000009.layer").c_str(), 0600), 0);
    EXPECT_EQ(error_of([&] { open(); }), EUCLEAN);
    std::filesystem::remove(folder_ / "000009.layer");
    std::filesystem::rename(folder_ / "000001.layer", dir_ / "moved");
    std::filesystem::create_symlink(dir_ / "moved", folder_ / "000001.layer");
    EXPECT_NE(error_of([&] { open(); }), 0);
}

}  // namespace
}  // namespace imgfs
