// Images by the partclone of Debian 12, against what it restores itself.
#include <gtest/gtest.h>

#include "fs/base/fd.h"
#include "fs/image/partition.h"
#include "tests/support/ext_image.h"
#include "tests/support/memory_source.h"
#include "tests/support/shell.h"
#include "tests/support/source_contract.h"
#include "tests/support/temp_dir.h"

namespace imgfs {
namespace {

class PartcloneToolTest : public testing::Test {
  protected:
    PartcloneToolTest() {
        std::filesystem::create_directory(tree_);
        for (size_t i = 1; i < 40; ++i) {
            write_file(tree_ / ("file" + std::to_string(i)), noise(i * i * 50, i));
        }
        write_file(partition_, make_ext_image({.options = "-t ext4 -b 1024 -O ^has_journal",
                                               .size = 8 * kMiB,
                                               .tree = tree_.string()}));
    }

    /// The options are those of partclone.extfs.
    std::unique_ptr<Partition> imaged(const std::string& options) {
        run("partclone.extfs -q -c -L " + log_ + " -s " + partition_.string() + " -O " +
            image_.string() + " " + options);
        return open_partition(std::make_unique<MemorySource>(read_file(image_, kGiB)));
    }

    Bytes restored_by_partclone() {
        write_file(restored_, {});
        std::filesystem::resize_file(restored_, 8 * kMiB);
        run("partclone.extfs -q -r -C -W -L " + log_ + " -s " + image_.string() + " -O " +
            restored_.string());
        return read_file(restored_, kGiB);
    }

    TempDir dir_;
    std::filesystem::path tree_ = dir_ / "tree";
    std::filesystem::path partition_ = dir_ / "partition";
    std::filesystem::path image_ = dir_ / "image";
    std::filesystem::path restored_ = dir_ / "restored";
    std::string log_ = (dir_ / "log").string();
};

TEST_F(PartcloneToolTest, ReadsWhatPartcloneRestores) {
    const auto partition = imaged("-a1");
    const auto expected = restored_by_partclone();
    expect_keeps_source_contract(*partition, expected);
    expect_e2fsck_clean(read_all(*partition));
    EXPECT_EQ(partition->info().checksum, "CRC32");
    EXPECT_EQ(partition->info().blocks_per_checksum, 1024);
    EXPECT_EQ(partition->info().file_system, "EXTFS");
    EXPECT_TRUE(partition->info().made_by.starts_with("partclone 0.3."));
}

TEST_F(PartcloneToolTest, AgreesWithPartclonesChecksumsInEveryMode) {
    const auto expected = read_all(*imaged("-a1"));
    for (const std::string options : {"-a0", "-a1 -k 1", "-a1 -k 7", "-a1 -k 7 -K"}) {
        const auto partition = imaged(options);
        EXPECT_EQ(read_all(*partition), expected) << options;
        const auto& info = partition->info();
        EXPECT_EQ(info.checksums_restart, options.find("-K") == std::string::npos);
        std::string damage;
        const auto checked =
            partition->verify([&](const std::string& line) { damage += line + "\n"; }, {});
        EXPECT_EQ(damage, "") << options;
        const auto strip = info.blocks_per_checksum;
        EXPECT_EQ(checked, 2 + (strip == 0 ? 0 : (info.used_blocks + strip - 1) / strip));
    }
}

}  // namespace
}  // namespace imgfs
