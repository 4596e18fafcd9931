// An ordinary image again: restored by stock programs, and by imgfs.
#include <gtest/gtest.h>

#include "tests/support/real_image.h"
#include "tests/support/tree_listing.h"

namespace imgfs {
namespace {

/// What the image has now is restored to `expected` by imgfs, what `unpacked` prints to `disk` by
/// partclone; their file systems must hold the same.
class FlattenTest : public RealImageTest {
  protected:
    void change_files() const {
        in_dir(
            "$imgfs mount web1/sda1 mnt && rm -r mnt/etc && mkdir mnt/etc && "
            "echo new > mnt/etc/fstab && head -c 9000000 /dev/urandom > mnt/new && "
            "$imgfs umount mnt");
    }

    void restore_by_partclone(const std::string& unpacked) const {
        in_dir("rm -f disk && truncate -s 96M disk && " + unpacked +
               " | partclone.restore -L log -C -s - -O disk && e2fsck -fn disk");
    }

    void expect_same_files(const std::string& at = "") const {
        in_dir("$imgfs restore --overwrite web1/sda1 expected " + at +
               " && mkdir -p one two && mount -o loop,ro expected one && "
               "mount -o loop,ro disk two");
        expect_equal_trees(dir() / "one", dir() / "two");
        in_dir("umount one two");
    }
};

TEST_F(FlattenTest, StockProgramsRestoreItFromEachCodec) {
    const auto before = image_hash();
    change_files();
    in_dir("$imgfs flatten web1/sda1 out");
    restore_by_partclone("zstd -dc <out");
    expect_same_files();
    in_dir("$imgfs verify out && $imgfs ls -l out / | grep new && mv disk first");
    for (const auto* codec : {"gzip", "lz4", "none"}) {
        SCOPED_TRACE(codec);
        in_dir("$imgfs flatten web1/sda1 out --overwrite --codec " + std::string(codec));
        restore_by_partclone((std::string(codec) == "none" ? "cat" : codec + std::string(" -dc")) +
                             " <out");
        in_dir("cmp first disk && $imgfs verify out");
    }
    EXPECT_EQ(image_hash(), before) << "the image is never written (promise 1)";
}

TEST_F(FlattenTest, APointIsFlattenedAsItWas) {
    in_dir(
        "$imgfs mount web1/sda1 mnt && echo one > mnt/new && $imgfs seal web1/sda1 one && "
        "echo two > mnt/new && rm mnt/bin/big && $imgfs umount mnt");
    in_dir("$imgfs flatten web1/sda1 out --at one");
    restore_by_partclone("zstd -dc <out");
    expect_same_files("--at one");
    EXPECT_EQ(in_dir("$imgfs cat out /new 2>/dev/null"), "one\n");
}

TEST_F(FlattenTest, AtBaseItIsTheStreamThatPartcloneWrote) {
    change_files();
    in_dir("$imgfs flatten web1/sda1 out --at base --codec none --checksum crc32");
    in_dir(
        "truncate -s 96M disk && cat web1/*.gz.a? | gzip -dc | "
        "partclone.restore -L log -C -s - -O disk && partclone.extfs -L log -z 2621440 -c -s disk "
        "-o again && cmp <(tail -c +111 out) <(tail -c +111 again)");
}

TEST_F(FlattenTest, PartsAreOneStreamCutAnywhere) {
    change_files();
    const auto said = in_dir("$imgfs flatten web1/sda1 out --split 1M --json 2>/dev/null");
    EXPECT_EQ(in_dir("ls out.* | wc -l"),
              in_dir("echo '" + said +
                     "' | python3 -c 'import json, sys; d = json.load(sys.stdin); "
                     "print(len(d[\"files\"]))'"));
    in_dir("test $(stat -c %s out.ab) = 1048576");
    restore_by_partclone("cat out.* | zstd -dc");
    expect_same_files();
    in_dir("$imgfs verify out");
    in_dir("$imgfs flatten out out2 --split 700k --codec gzip");
    EXPECT_EQ(try_in_dir("$imgfs flatten out2 out --overwrite --codec lz4").status, 2) << "parts";
    EXPECT_EQ(try_in_dir("$imgfs flatten out2 out --overwrite --split 700k").status, 2);
    in_dir("rm out.a? && $imgfs flatten out2 out --codec lz4");
    restore_by_partclone("lz4 -dc <out");
    expect_same_files();
}

TEST_F(FlattenTest, OurOwnCommandsReadTheOtherChecksum) {
    in_dir("$imgfs flatten web1/sda1 out --checksum xxh128 && $imgfs verify out");
    EXPECT_NE(in_dir("$imgfs info out").find("XXH128"), std::string::npos);
}

TEST_F(FlattenTest, WhatExistsOrIsReadIsNotReplaced) {
    in_dir("$imgfs index web1/sda1 && echo mine > out");
    EXPECT_EQ(try_in_dir("$imgfs flatten web1/sda1 out").status, 2);
    EXPECT_EQ(in_dir("cat out && rm out && echo mine > out.aa"), "mine\n");
    EXPECT_EQ(try_in_dir("$imgfs flatten web1/sda1 out").status, 2);
    in_dir("ln web1/sda1.ext4-ptcl-img.gz.aa link && mkdir folder && echo > stray.ac");
    const auto before = in_dir("find . -type f | sort | xargs sha256sum");
    for (const auto* out :
         {"web1/sda1.ext4-ptcl-img.gz", "web1/sda1.ext4-ptcl-img.gz.aa", "link", "folder",
          "none/out", "stray", "web1/imgfs/sda1.ext4-ptcl-img.gz/out"}) {
        const auto result = try_in_dir("$imgfs flatten web1/sda1 --overwrite " + std::string(out));
        EXPECT_EQ(result.status, 1) << out << result.output;
    }
    EXPECT_EQ(in_dir("find . -type f | sort | xargs sha256sum"), before);
}

TEST_F(FlattenTest, AnImageThatHasChangesIsNotReplaced) {
    in_dir(
        "$imgfs flatten web1/sda1 out && $imgfs mount out mnt && touch mnt/new && "
        "$imgfs umount mnt");
    const auto result = try_in_dir("$imgfs flatten web1/sda1 out --overwrite");
    EXPECT_EQ(result.status, 1);
    EXPECT_NE(result.output.find("has changes in"), std::string::npos) << result.output;
}

TEST_F(FlattenTest, WrongOptionsAreSaid) {
    for (const auto* options : {"--codec xz", "--level 20", "--codec none --level 1", "--level a",
                                "--split 0", "--split x", "--checksum md5"}) {
        EXPECT_EQ(try_in_dir("$imgfs flatten web1/sda1 out " + std::string(options)).status, 2)
            << options;
    }
    in_dir("! ls out*");
}

TEST_F(FlattenTest, AfterCtrlCNothingIsLeft) {
    EXPECT_EQ(try_in_dir("timeout -s INT 0.3 $imgfs flatten web1/sda1 out --level 19; "
                         "test $? = 124 -o $? = 130")
                  .status,
              0);
    in_dir("! ls -A | grep out");
}

TEST_F(FlattenTest, DamageEndsIt) {
    in_dir(
        "cat web1/*.gz.a? | gzip -dc > image && "
        "printf x | dd of=image bs=1 seek=5000000 conv=notrunc status=none");
    EXPECT_EQ(try_in_dir("$imgfs flatten image out").status, 1);
    in_dir("! ls -A | grep out");
}

TEST_F(FlattenTest, AnotherFileSystemHasTheBlocksOfItsImageAndTheChangedOnes) {
    in_dir(
        "truncate -s 64M fat && mkfs.vfat -F 16 fat && head -c 5000000 /dev/urandom > data && "
        "mcopy -i fat data ::DATA && partclone.fat16 -L log -c -s fat -o - | zstd > fat.zst && "
        "$imgfs mount --raw fat.zst mnt && head -c 9999 data > change && "
        "dd if=change of=mnt/partition bs=1 seek=40000000 conv=notrunc status=none && "
        "dd if=change of=fat bs=1 seek=40000000 conv=notrunc status=none && $imgfs umount mnt && "
        "$imgfs flatten fat.zst out && truncate -s 64M disk && "
        "zstd -dc out | partclone.restore -L log -C -s - -O disk && cmp fat disk");
    in_dir("test $(stat -c %s out) -lt 6000000");
}

TEST_F(FlattenTest, AJournalThatWasNotReplayedIsKept) {
    in_dir(
        "cat web1/*.gz.a? | gzip -dc > image && truncate -s 96M part && "
        "partclone.restore -L log -C -s image -O part && "
        "debugfs -w -R 'feature needs_recovery' part && $imgfs flatten part out 2>said && "
        "grep journal said && truncate -s 96M disk && "
        "zstd -dc out | partclone.restore -L log -C -s - -O disk && cmp part disk");
}

}  // namespace
}  // namespace imgfs
