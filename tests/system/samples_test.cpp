// Images that other versions of partclone wrote: every one shows the same files.
#include <gtest/gtest.h>

#include "tests/support/shell.h"
#include "tests/support/temp_dir.h"

namespace imgfs {
namespace {

class SamplesTest : public testing::TestWithParam<const char*> {
  protected:
    /// In a directory that has the sample, with $imgfs and the sample's name in $image.
    std::string in_dir(const std::string& command) const {
        return run("cd " + dir_.path().string() + " && imgfs=" IMGFS_PROGRAM " image=" +
                   GetParam() + " data=" TEST_DATA "; " + command);
    }

    void SetUp() override { in_dir("cp $data/$image* . && mkdir mnt"); }

    TempDir dir_;
};

TEST_P(SamplesTest, ShowsEveryFileWithContentAndMetadata) {
    in_dir("$imgfs mount --read-only $image mnt");
    in_dir("cd mnt && sha256sum --quiet -c $data/contents.sha256");
    in_dir(
        "cd mnt && find . -printf '%y %m %U %G %n %s %T@ %P -> %l\\n' | LC_ALL=C sort -k8 | "
        "diff - $data/metadata.txt");
    in_dir("$imgfs umount mnt");
}

TEST_P(SamplesTest, VerifiesAndRestoresToTheSameBytes) {
    in_dir("$imgfs verify $image");
    in_dir(
        "$imgfs restore --verify $image disk && sha256sum < disk | cut -c1-64 | "
        "diff - <(cut -c1-64 $data/partition.sha256) && e2fsck -fn disk");
}

TEST_P(SamplesTest, IsReadWithoutMounting) {
    in_dir(
        "mkdir out && $imgfs cp -r $image / out && cd out && "
        "sha256sum --quiet -c $data/contents.sha256");
    in_dir(
        "first=$(head -n 1 $data/contents.sha256 | cut -c67-); $imgfs cat $image \"$first\" | "
        "sha256sum | cut -c1-64 | diff - <(head -n 1 $data/contents.sha256 | cut -c1-64)");
}

INSTANTIATE_TEST_SUITE_P(Partclone, SamplesTest,
                         testing::Values("ext4-48M.none.pcl.gz", "ext4-48M.crc32-k3.pcl.gz",
                                         "ext4-48M.xxh64.pcl.gz", "ext4-48M.xxh128.pcl.gz",
                                         "ext4-48M.xxh128-noreseed.pcl.gz", "ext4-48M.v0001.pcl.gz",
                                         "ext4-48M.ext4-ptcl-img.gz"),
                         [](const auto& sample) {
                             std::string name;
                             for (const char letter : std::string(sample.param)) {
                                 name += std::isalnum(letter) != 0 ? letter : '_';
                             }
                             return name;
                         });

}  // namespace
}  // namespace imgfs
