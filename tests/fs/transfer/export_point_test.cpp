// A recovery point that leaves one copy of an image and joins another: promises 8 and 9 of
// design.md.
#include "fs/transfer/export_point.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "fs/base/fd.h"
#include "fs/source/file_source.h"
#include "tests/support/crash_recorder.h"
#include "tests/support/delta_rig.h"
#include "tests/support/temp_dir.h"

namespace imgfs {
namespace {

class ExportPointTest : public testing::Test {
  protected:
    ExportPointTest() {
        for (const auto* name : {"a", "b", "c"}) {
            make_point(here_, name);
            contents_.push_back(model_);
        }
    }

    void make_point(const std::filesystem::path& folder, const std::string& name) {
        const auto opened = open_delta(folder, image_);
        for (int i = 0; i < 6; ++i) {
            change_at_random(*opened.device, model_, 9, random_);
        }
        opened.device->flush();
        opened.device->seal({.name = name, .note = "note of " + name});
    }

    std::filesystem::path exported(const std::string& point) const {
        const auto file = dir_ / (point + ".point");
        export_point(*open_delta(here_, image_, DeltaAccess::read_only).store, point, file, {});
        return file;
    }

    void import(const std::filesystem::path& file) const {
        open_delta(there_, image_).store->import_point(FileSource(file), {});
    }

    int import_error(const std::filesystem::path& file) const {
        return error_of([&] { import(file); });
    }

    Bytes content(const std::filesystem::path& folder, const std::string& at) const {
        return read_all(*open_delta({.folder = folder, .at = at}, image_).device);
    }

    const TempDir dir_{memory_directory()};
    const std::filesystem::path here_ = dir_ / "here";
    const std::filesystem::path there_ = dir_ / "there";
    const Bytes image_ = noise(100 * kBlockSize + 77, 1);
    Bytes model_ = image_;
    std::vector<Bytes> contents_;
    std::mt19937_64 random_{3};
};

TEST_F(ExportPointTest, PointsAreTheSameInACopyOfTheImage) {
    for (size_t i = 0; i < 3; ++i) {
        const auto name = std::string(1, static_cast<char>('a' + i));
        import(exported(name));
        EXPECT_TRUE(same(content(there_, name), contents_[i])) << name;
    }
    const auto points = open_delta(there_, image_, DeltaAccess::read_only).store->points();
    const auto originals = open_delta(here_, image_, DeltaAccess::read_only).store->points();
    ASSERT_EQ(points.size(), 3);
    EXPECT_EQ(points[1].note, "note of b");
    EXPECT_EQ(points[1].time, originals[1].time);
    make_point(there_, "d");
    EXPECT_TRUE(same(content(there_, "d"), model_)) << "and it goes on";
}

TEST_F(ExportPointTest, AWrongParentIsRefused) {
    EXPECT_EQ(import_error(exported("b")), EINVAL) << "its parent isn't there";
    import(exported("a"));
    EXPECT_EQ(import_error(exported("a")), EEXIST);
    EXPECT_EQ(import_error(exported("c")), EINVAL);
    model_ = contents_[0];
    make_point(there_, "other");
    const auto line = line_of([&] { import(exported("b")); });
    EXPECT_NE(line.find("imgfs rollback IMAGE a"), std::string::npos) << line;
    open_delta(there_, image_).store->roll_back("a");
    import(exported("b"));
    EXPECT_TRUE(same(content(there_, "b"), contents_[1]));
}

TEST_F(ExportPointTest, WhatWasChangedSinceThePointIsInTheWay) {
    import(exported("a"));
    {
        const auto opened = open_delta(there_, image_);
        opened.device->write(0, noise(kBlockSize, 9));
        opened.device->flush();
    }
    EXPECT_EQ(import_error(exported("b")), EINVAL);
}

TEST_F(ExportPointTest, APointOfAnotherImageIsRefused) {
    const auto other = noise(image_.size(), 2);
    const auto file = exported("a");
    EXPECT_EQ(
        error_of([&] { open_delta(there_, other).store->import_point(FileSource(file), {}); }),
        EINVAL);
}

// Images of one file system, saved at two times, differ in their content only.
TEST_F(ExportPointTest, APointOfAnImageWithOtherContentIsRefused) {
    const auto with_content = [&](const std::filesystem::path& folder, const Hash128& content) {
        return open_delta({.folder = folder,
                           .content = [content] { return content; },
                           .access = DeltaAccess::read_write},
                          image_);
    };
    const auto mine = xxh3_128(noise(10, 1));
    {
        const auto opened = with_content(dir_ / "bound", mine);
        opened.device->write(0, noise(kBlockSize, 4));
        opened.device->flush();
        opened.device->seal({.name = "a"});
        export_point(*opened.store, "a", dir_ / "a.point", {});
    }
    const auto import_onto = [&](const Hash128& content) {
        return error_of([&] {
            with_content(there_, content).store->import_point(FileSource(dir_ / "a.point"), {});
        });
    };
    EXPECT_EQ(import_onto(xxh3_128(noise(10, 2))), EINVAL);
    EXPECT_EQ(import_onto({}), 0) << "not indexed yet";
    EXPECT_EQ(error_of([&] { with_content(there_, xxh3_128(noise(10, 2))); }), EUCLEAN)
        << "found out later";
}

TEST_F(ExportPointTest, OnlyWhatIsAPointIsExported) {
    EXPECT_EQ(error_of([&] { exported("base"); }), EINVAL);
    EXPECT_EQ(error_of([&] { exported("z"); }), ENOENT);
}

// Each byte is under a checksum, and none of a damaged archive stays.
TEST_F(ExportPointTest, ADamagedArchiveIsRefused) {
    const auto file = exported("a");
    const auto good = read_file(file, kGiB);
    for (int i = 0; i < 200; ++i) {
        auto bytes = good;
        if (i % 8 == 0) {
            bytes.resize(random_() % bytes.size());
        } else {
            bytes[i % 2 == 0 ? random_() % 1000 : random_() % bytes.size()] ^= std::byte{4};
        }
        write_file(file, bytes);
        const auto error = import_error(file);
        ASSERT_TRUE(error == EUCLEAN || error == EMEDIUMTYPE || error == ENOTSUP)
            << i << ": " << error;
        ASSERT_TRUE(same(content(there_, "base"), image_));
        ASSERT_FALSE(std::filesystem::exists(there_ / "000001.layer"));
    }
    write_file(file, good);
    EXPECT_EQ(import_error(file), 0);
}

TEST_F(ExportPointTest, ADamagedLayerIsNotExported) {
    const auto layer = here_ / "000001.layer";
    auto bytes = read_file(layer, kGiB);
    bytes[kLogStart + 1000] ^= std::byte{1};
    std::filesystem::remove(layer);
    write_file(layer, bytes);
    EXPECT_EQ(error_of([&] { exported("a"); }), EUCLEAN);
    EXPECT_FALSE(std::filesystem::exists(dir_ / "a.point"));
}

TEST_F(ExportPointTest, AnImportThatIsKilledLeavesThePointOrNothing) {
    const auto file = exported("a");
    CrashRecorder recorder;
    {
        const auto opened = open_delta(there_, image_, DeltaAccess::read_write, &recorder);
        opened.store->import_point(FileSource(file), {});
    }
    std::mt19937_64 random(5);
    const auto crashed = dir_ / "crashed";
    for (size_t done = 0; done <= recorder.count(); ++done) {
        for (int seed = 0; seed < 5; ++seed) {
            if (seed == 0) {
                recorder.make_killed(done, 0, crashed);
            } else {
                recorder.make_power_cut(done, random, crashed);
            }
            const auto opened = open_delta(crashed, image_);
            const auto there = opened.store->points().size();
            ASSERT_TRUE(same(read_all(*opened.device), there == 1 ? contents_[0] : image_)) << done;
            ASSERT_TRUE(there == 1 || done < recorder.count());
        }
    }
}

}  // namespace
}  // namespace imgfs
