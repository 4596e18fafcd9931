#include "fs/image/image_files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>

#include "fs/base/error.h"
#include "tests/support/memory_source.h"
#include "tests/support/temp_dir.h"
#include "tests/support/thrown.h"

namespace imgfs {
namespace {

const std::string kRescue = "; imgfs mount --rescue shows what can be read without it";

class ImageFilesTest : public testing::Test {
  protected:
    /// Files of 10 bytes in the folder web1.
    void put(const std::vector<std::string>& names, size_t size = 10) {
        std::filesystem::create_directory(web1_);
        for (const auto& name : names) {
            write_file(web1_ / name, noise(size, name.size()));
        }
    }

    /// "BASE: PART PART …" as seen from the folder web1.
    std::string located(const std::string& named) const {
        const auto image = locate_image(web1_ / named);
        EXPECT_EQ(image.folder, web1_);
        auto line = image.name + ":";
        for (const auto& part : image.parts) {
            line += " " + part.lexically_relative(web1_).string();
        }
        return line;
    }

    /// The error, with the folder's path written as "web1".
    std::string refusal(const std::string& named, int code) const {
        try {
            return "located " + located(named);
        } catch (const std::system_error& error) {
            EXPECT_EQ(error.code().value(), code) << error.what();
            auto line = message_of(error);
            for (size_t at = 0; (at = line.find(web1_.string())) != std::string::npos;) {
                line.replace(at, web1_.string().size(), "web1");
            }
            return line;
        }
    }

    TempDir dir_;
    std::filesystem::path web1_ = dir_ / "web1";
};

TEST_F(ImageFilesTest, FindsASetByAnyPartAndByItsName) {
    put({"x.gz.aa", "x.gz.ab", "x.gz.ac", "y.gz.aa", "x.gz"});
    const std::string set = "x.gz: x.gz.aa x.gz.ab x.gz.ac";
    EXPECT_EQ(located("x.gz.aa"), set);
    EXPECT_EQ(located("x.gz.ac"), set);
    EXPECT_EQ(located("x.gz"), "x.gz: x.gz");  // an existing file wins
    std::filesystem::remove(web1_ / "x.gz");
    EXPECT_EQ(located("x.gz"), set);
}

TEST_F(ImageFilesTest, FindsSetsOfEveryStyle) {
    put({"a.aaa", "a.aab", "b.000", "b.001", "c.001", "c.002", "d.aa"});
    EXPECT_EQ(located("a"), "a: a.aaa a.aab");
    EXPECT_EQ(located("a.aab"), "a: a.aaa a.aab");
    EXPECT_EQ(located("b.001"), "b: b.000 b.001");
    EXPECT_EQ(located("c"), "c: c.001 c.002");
    EXPECT_EQ(located("d.aa"), "d: d.aa");
}

TEST_F(ImageFilesTest, CountsOnPastZ) {
    std::vector<std::string> names;
    std::string expected = "x:";
    for (int i = 0; i < 200; ++i) {  // past .gz, which else means something else
        names.push_back(std::string("x.") + static_cast<char>('a' + i / 26) +
                        static_cast<char>('a' + i % 26));
        expected += " " + names.back();
    }
    put(names);
    EXPECT_EQ(located("x"), expected);
    EXPECT_EQ(located("x.gz"), expected);
}

TEST_F(ImageFilesTest, TakesAFileAloneForWhatItIs) {
    put({"sda1.gz", "old.xz", "disk.img", "backup.db", "plain", ".aa", "imgfs.aa"});
    for (const std::string name : {"sda1.gz", "old.xz", "disk.img", "backup.db", "plain", ".aa"}) {
        EXPECT_EQ(located(name), name + ": " + name);
    }
}

TEST_F(ImageFilesTest, LeavesFilesThatOnlyLookLikePartsOutOfASet) {
    put({"x.aa", "x.ab", "x.gz", "x.img"});
    EXPECT_EQ(located("x.aa"), "x: x.aa x.ab");
    EXPECT_EQ(located("x.gz"), "x.gz: x.gz");
    EXPECT_EQ(located("x"), "x: x.aa x.ab");
}

TEST_F(ImageFilesTest, NamesAMissingPart) {
    put({"x.gz.aa", "x.gz.ac", "y.ab", "y.ac", "z.000", "z.002"});
    const std::string gap =
        "web1/x.gz.ab: this part of the image is missing (x.gz.ac is there)" + kRescue;
    EXPECT_EQ(refusal("x.gz", ENOENT), gap);
    EXPECT_EQ(refusal("x.gz.aa", ENOENT), gap);
    EXPECT_EQ(refusal("x.gz.ab", ENOENT), gap);
    EXPECT_EQ(refusal("y.ab", ENOENT),
              "web1/y.aa: this part of the image is missing (y.ab is there)");
    EXPECT_EQ(refusal("y", ENOENT), "web1/y.aa: this part of the image is missing (y.ab is there)");
    EXPECT_EQ(refusal("z", ENOENT),
              "web1/z.001: this part of the image is missing (z.002 is there)" + kRescue);
}

TEST_F(ImageFilesTest, NamesAPartThatIsCutShort) {
    put({"x.aa", "x.ac"}, 2000);
    put({"x.ab"}, 1999);
    put({"x.ad"}, 3);
    EXPECT_EQ(
        refusal("x", EUCLEAN),
        "web1/x.ab: this part of the image is cut short: 1,999 bytes, others have 2,000" + kRescue);
    put({"x.ab"}, 2000);
    EXPECT_EQ(located("x"), "x: x.aa x.ab x.ac x.ad");
    put({"x.aa"}, 1);
    EXPECT_EQ(
        refusal("x", EUCLEAN),
        "web1/x.aa: this part of the image is cut short: 1 bytes, others have 2,000" + kRescue);
}

TEST_F(ImageFilesTest, FindsThePartitionOfAClonezillaFolder) {
    put({"disk", "parts", "sda-pt.sf", "sda1.ext4-ptcl-img.gz.aa", "sda1.ext4-ptcl-img.gz.ab",
         "sda2.dd-ptcl-img.zst", "sda3.dd-img.aa", "sda3.dd-img.info", "sda4.ntfs-img",
         "sda5.vfat-ptcl-img.uncomp", "sda10.xfs-ptcl-img.xz", "vg-root.btrfs-ptcl-img.lz4",
         "sda11.hfsp-img.aaa"});
    EXPECT_EQ(located("sda1"),
              "sda1.ext4-ptcl-img.gz: sda1.ext4-ptcl-img.gz.aa sda1.ext4-ptcl-img.gz.ab");
    EXPECT_EQ(located("sda2"), "sda2.dd-ptcl-img.zst: sda2.dd-ptcl-img.zst");
    EXPECT_EQ(located("sda3"), "sda3.dd-img: sda3.dd-img.aa");
    EXPECT_EQ(located("sda4"), "sda4.ntfs-img: sda4.ntfs-img");
    EXPECT_EQ(located("sda5"), "sda5.vfat-ptcl-img.uncomp: sda5.vfat-ptcl-img.uncomp");
    EXPECT_EQ(located("sda10"), "sda10.xfs-ptcl-img.xz: sda10.xfs-ptcl-img.xz");
    EXPECT_EQ(located("vg-root"), "vg-root.btrfs-ptcl-img.lz4: vg-root.btrfs-ptcl-img.lz4");
    EXPECT_EQ(located("sda11"), "sda11.hfsp-img: sda11.hfsp-img.aaa");
}

TEST_F(ImageFilesTest, DoesNotTakeOnePartitionForAnother) {
    put({"sda10.ext4-ptcl-img.gz", "sdb1.ext4-ptcl-img.gz"});
    EXPECT_EQ(refusal("sda1", ENOENT), "web1/sda1: no such image; there is web1/sda10, web1/sdb1");
    EXPECT_EQ(refusal("sda", ENOENT), "web1/sda: no such image; there is web1/sda10, web1/sdb1");
}

TEST_F(ImageFilesTest, NamesThePartAmissInAClonezillaFolder) {
    put({"sda1.ext4-ptcl-img.gz.aa", "sda1.ext4-ptcl-img.gz.ac", "sda2.ext4-ptcl-img.gz"});
    EXPECT_EQ(refusal("sda1", ENOENT),
              "web1/sda1.ext4-ptcl-img.gz.ab: this part of the image is missing "
              "(sda1.ext4-ptcl-img.gz.ac is there)" +
                  kRescue);
    EXPECT_EQ(located("sda2"), "sda2.ext4-ptcl-img.gz: sda2.ext4-ptcl-img.gz");
    EXPECT_EQ(refusal("", EISDIR), "web1: name one of its partitions: web1/sda1, web1/sda2");
}

TEST_F(ImageFilesTest, ListsThePartitionsOfAFolderInOrder) {
    put({"sda10.ext4-ptcl-img.gz.aa", "sda2.ext4-ptcl-img.gz.aa", "sda2.ext4-ptcl-img.gz.ab",
         "sda2.dd-img.info", "clonezilla-img"});
    std::filesystem::create_directories(web1_ / "imgfs/sda2.ext4-ptcl-img.gz");
    std::filesystem::create_directories(web1_ / "sda7.ext4-ptcl-img.gz");
    const std::string line = "web1: name one of its partitions: web1/sda2, web1/sda10";
    EXPECT_EQ(refusal("", EISDIR), line);
    EXPECT_EQ(refusal("../web1", EISDIR).substr(0, 4), "web1");
    std::filesystem::create_directory(web1_ / "empty");
    EXPECT_EQ(refusal("empty", EISDIR), "web1/empty: a folder without partition images");
}

TEST_F(ImageFilesTest, AsksWhichOfSeveralImagesIsMeant) {
    put({"sda1.ext4-ptcl-img.gz.aa", "sda1.ext4-ptcl-img.gz.ab", "sda1.dd-ptcl-img.zst", "x.aa",
         "x.000"});
    EXPECT_EQ(refusal("sda1", EINVAL),
              "web1/sda1: name one of these images: web1/sda1.dd-ptcl-img.zst, "
              "web1/sda1.ext4-ptcl-img.gz.aa");
    EXPECT_EQ(refusal("x", EINVAL), "web1/x: name one of these images: web1/x.000, web1/x.aa");
}

TEST_F(ImageFilesTest, SaysWhatIsNotThere) {
    put({"README"});
    EXPECT_EQ(refusal("sda1", ENOENT), "web1/sda1: no such image");
    EXPECT_EQ(refusal("no/sda1", ENOENT), "web1/no: No such file or directory");
    EXPECT_EQ(refusal("README/sda1", ENOTDIR), "web1/README: Not a directory");
}

TEST_F(ImageFilesTest, ShowsStrangeNamesQuoted) {
    put({"a\x1b[2J.ext4-ptcl-img.gz"});
    EXPECT_EQ(refusal("sda1", ENOENT).find('\x1b'), std::string::npos);
    EXPECT_EQ(refusal("", EISDIR).find('\x1b'), std::string::npos);
    EXPECT_EQ(refusal("b\x1b", ENOENT).find('\x1b'), std::string::npos);
}

TEST_F(ImageFilesTest, ForARescueAMissingPartIsAsLongAsTheOthersAndCannotBeRead) {
    put({"x.aa", "x.ac"}, 2000);
    put({"x.ab", "x.ae"}, 300);
    write_file(web1_ / "y.ab", noise(10, 1));
    const auto image = locate_image(web1_ / "x", MissingParts::named);
    ASSERT_EQ(image.parts.size(), 5U);
    ASSERT_EQ(image.gaps.size(), 2U);
    EXPECT_EQ(describe_gap(image, image.gaps[0]),
              (web1_ / "x.ab").string() +
                  ": this part of the image is cut short: 300 bytes, others have 2,000");
    const auto missing = (web1_ / "x.ad").string() +
                         ": this part of the image is missing; it is taken to have 2,000 bytes, "
                         "as others have";
    EXPECT_EQ(describe_gap(image, image.gaps[1]), missing);
    const auto packed = open_parts(image);
    ASSERT_EQ(packed->size(), 8300U);
    Bytes out(300);
    for (const uint64_t offset : {0, 1700, 2000, 4000, 5700, 8000}) {
        EXPECT_EQ(error_of([&] { packed->read(offset, out); }), 0) << offset;
    }
    for (const uint64_t offset : {2001, 3999, 5701, 7999}) {
        EXPECT_EQ(error_of([&] { packed->read(offset, out); }), EUCLEAN) << offset;
    }
    EXPECT_EQ(line_of([&] { packed->read(6000, out); }), missing);
    EXPECT_EQ(locate_image(web1_ / "x.ad", MissingParts::named).parts, image.parts);
    EXPECT_NE(packed_identity(image), Bytes());
    EXPECT_EQ(error_of([&] { locate_image(web1_ / "y", MissingParts::named); }), ENOENT)
        << "without its first part nothing can be read";
}

TEST_F(ImageFilesTest, PartsOfTwoDigitsAreJoinedAndALaterOneIsNoImage) {
    put({"x.00", "x.01", "x.02"}, 2000);
    EXPECT_EQ(locate_image(web1_ / "x").parts.size(), 3U);
    EXPECT_EQ(locate_image(web1_ / "x.01").parts.front(), web1_ / "x.00");
    std::filesystem::remove(web1_ / "x.00");
    EXPECT_EQ(error_of([&] { locate_image(web1_ / "x.01"); }), ENOENT);
}

TEST_F(ImageFilesTest, ADateOrAVersionIsNoPartOfTwoDigits) {
    put({"sda1-22.11.24", "root-1.05", "root-1.06"}, 2000);
    for (const auto* const name : {"sda1-22.11.24", "root-1.05", "root-1.06"}) {
        EXPECT_EQ(locate_image(web1_ / name).parts, std::vector{web1_ / name});
    }
}

TEST_F(ImageFilesTest, BehindNinetyPartsOfTwoDigitsLongerNamesAreNotLeftOut) {
    std::vector<std::string> names{"x.9000"};
    for (int i = 0; i < 90; ++i) {
        names.push_back(std::string("x.") + (i < 10 ? "0" : "") + std::to_string(i));
    }
    for (const auto& name : names) {
        put({name}, 512);
    }
    EXPECT_EQ(error_of([&] { locate_image(web1_ / "x"); }), ENOTSUP);
}

TEST_F(ImageFilesTest, TheLastPartDoesNotTellHowLongTheOthersWere) {
    put({"x.aa"}, 300);
    put({"x.ab"}, 2000);
    EXPECT_EQ(error_of([&] { locate_image(web1_ / "x", MissingParts::named); }), EUCLEAN);
    EXPECT_EQ(error_of([&] { locate_image(web1_ / "x"); }), EUCLEAN);
}

TEST_F(ImageFilesTest, PackedIdentityChangesWithSizeTimeAndBothEnds) {
    put({"x.aa", "x.ab"}, 200'000);
    const auto identity = [&] { return packed_identity(locate_image(web1_ / "x")); };
    const auto set_time = [&](time_t seconds) {
        const timespec times[2] = {{seconds, 0}, {seconds, 0}};
        ASSERT_EQ(::utimensat(AT_FDCWD, (web1_ / "x.ab").c_str(), times, 0), 0);
    };
    set_time(1000);
    const auto first = identity();
    EXPECT_EQ(identity(), first);
    set_time(1001);
    EXPECT_NE(identity(), first);
    for (const size_t changed : {size_t{0}, size_t{199'999}}) {
        auto content = noise(200'000, 4);
        content[changed] ^= std::byte{1};
        write_file(web1_ / "x.ab", content);
        set_time(1000);
        EXPECT_NE(identity(), first);
    }
    write_file(web1_ / "x.ab", noise(200'000, 4));
    set_time(1000);
    EXPECT_EQ(identity(), first);
    std::filesystem::resize_file(web1_ / "x.ab", 199'000);
    set_time(1000);
    EXPECT_NE(identity(), first);
}

/// As the kernel counts what this process reads, from caches or not.
uint64_t bytes_read() {
    std::ifstream counts("/proc/self/io");
    std::string name;
    uint64_t count = 0;
    counts >> name >> count;
    EXPECT_EQ(name, "rchar:");
    return count;
}

TEST_F(ImageFilesTest, PackedIdentityReadsLittleOfEachPart) {
    put({"x.aa", "x.ab", "x.ac", "x.ad", "x.ae", "x.af", "x.ag", "x.ah"}, 200'000);
    const auto image = locate_image(web1_ / "x");
    const auto before = bytes_read();
    packed_identity(image);
    EXPECT_LE(bytes_read() - before, 9 * 8 * kKiB) << "of 8 parts, and the count itself";
}

}  // namespace
}  // namespace imgfs
