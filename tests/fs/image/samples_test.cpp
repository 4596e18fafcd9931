// Images by the partclone of today, which Debian 12 doesn't have.
#include <gtest/gtest.h>

#include "fs/base/error.h"
#include "fs/base/fd.h"
#include "fs/image/image_files.h"
#include "fs/image/partition.h"
#include "fs/source/decode.h"
#include "fs/source/file_source.h"
#include "tests/support/memory_source.h"
#include "tests/support/shell.h"
#include "tests/support/temp_dir.h"

namespace imgfs {
namespace {

const std::filesystem::path kData = TEST_DATA;

class SamplesTest : public testing::Test {
  protected:
    /// The stream, unpacked by gzip.
    std::unique_ptr<Source> unpacked(const std::string& names) {
        const auto plain = dir_ / "plain";
        run("cd " + shell_quoted(kData.string()) + " && cat " + names + " | gzip -dc > " +
            plain.string());
        return std::make_unique<FileSource>(plain);
    }

    TempDir dir_;
};

TEST_F(SamplesTest, AllGiveTheSamePartition) {
    const auto listed = read_file(kData / "partition.sha256", 1000);
    const std::string sha256(text_of(listed).substr(0, 64));
    Hash128 identity{};
    uint64_t content = 0;
    for (const std::string names :
         {"ext4-48M.xxh128.pcl.gz", "ext4-48M.xxh64.pcl.gz", "ext4-48M.xxh128-noreseed.pcl.gz",
          "ext4-48M.crc32-k3.pcl.gz", "ext4-48M.none.pcl.gz", "ext4-48M.v0001.pcl.gz",
          "ext4-48M.ext4-ptcl-img.gz.a?"}) {
        const auto partition = open_partition(unpacked(names));
        const auto bytes = read_all(*partition);
        ASSERT_EQ(bytes.size(), 48 * kMiB);
        if (content == 0) {
            content = xxh3_64(bytes);
            identity = partition->identity();
            write_file(dir_ / "partition", bytes);
            const auto sum = run("sha256sum < " + (dir_ / "partition").string());
            EXPECT_EQ(sum.substr(0, 64), sha256);
        }
        EXPECT_EQ(xxh3_64(bytes), content) << names;
        EXPECT_EQ(partition->identity(), identity) << names;
    }
}

TEST_F(SamplesTest, AllAreWithoutDamage) {
    const std::vector<std::pair<std::string, uint64_t>> strips{
        {"ext4-48M.xxh128.pcl.gz", 2},
        {"ext4-48M.xxh64.pcl.gz", 11},
        {"ext4-48M.xxh128-noreseed.pcl.gz", 11},
        {"ext4-48M.crc32-k3.pcl.gz", 3627},
        {"ext4-48M.none.pcl.gz", 0},
    };
    for (const auto& [name, count] : strips) {
        std::string damage;
        const auto checked =
            open_partition(unpacked(name))
                ->verify([&](const std::string& line) { damage += line + "\n"; }, {});
        EXPECT_EQ(damage, "") << name;
        EXPECT_EQ(checked, 2 + count) << name;
    }
}

TEST_F(SamplesTest, TheFormatOfBefore2013TellsWhatItsChecksumsAreWorth) {
    const auto partition = open_partition(unpacked("ext4-48M.v0001.pcl.gz"));
    const auto& info = partition->info();
    EXPECT_EQ(info.format, "partclone 0001");
    EXPECT_EQ(info.made_by, "");
    EXPECT_EQ(info.file_system, "EXTFS");
    EXPECT_EQ(info.checksum, "CRC32");
    EXPECT_FALSE(info.checksums_restart);
    EXPECT_FALSE(info.checksums_cover_all);
    std::string damage;
    const auto checked =
        partition->verify([&](const std::string& line) { damage += line + "\n"; }, {});
    EXPECT_EQ(damage, "");
    EXPECT_EQ(checked, info.used_blocks);
}

TEST_F(SamplesTest, PartsAreJoinedInOrder) {
    const auto files = locate_image(kData / "ext4-48M.ext4-ptcl-img.gz");
    EXPECT_EQ(files.parts.size(), 6);
    write_file(dir_ / "joined", read_all(*open_parts(files)));
    run("cat " + (kData / "ext4-48M.ext4-ptcl-img.gz.a?").string() + " | cmp - " +
        (dir_ / "joined").string());
    EXPECT_EQ(locate_image(kData / "ext4-48M").name, "ext4-48M.ext4-ptcl-img.gz");
}

TEST_F(SamplesTest, ASplitPackedSetIsReadAsItLies) {
    const auto unpacked_first = open_partition(unpacked("ext4-48M.ext4-ptcl-img.gz.a?"));
    const auto packed =
        open_partition(decode(open_parts(locate_image(kData / "ext4-48M")), {}).plain);
    EXPECT_EQ(packed->identity(), unpacked_first->identity());
    EXPECT_EQ(xxh3_64(read_all(*packed)), xxh3_64(read_all(*unpacked_first)));
    std::string damage;
    const auto checked =
        packed->verify([&](const std::string& line) { damage += line + "\n"; }, {});
    EXPECT_EQ(damage, "");
    EXPECT_GT(checked, 2);
}

}  // namespace
}  // namespace imgfs
