// imgfs status, and who holds a delta: promises 5 and 6 of design.md.
#include "tests/support/real_image.h"

namespace imgfs {
namespace {

class StatusTest : public RealImageTest {
  protected:
    ~StatusTest() override { try_in_dir("$imgfs umount mnt; umount small"); }

    std::string status() const { return in_dir("$imgfs status mnt"); }
};

TEST_F(StatusTest, ItTellsLayersSpaceAndHolder) {
    in_dir(
        "$imgfs mount web1/sda1 mnt && echo one > mnt/new && $imgfs seal web1/sda1 monday && "
        "echo two > mnt/new && sync mnt/new");
    const auto text = status();
    EXPECT_NE(text.find("holds 2 layers, 1 recovery points; "), std::string::npos) << text;
    EXPECT_NE(text.find(" free there"), std::string::npos) << text;
    EXPECT_NE(text.find("lock  root@"), std::string::npos) << text;
    EXPECT_EQ(in_dir("$imgfs status mnt --json | python3 -c 'import json, sys; "
                     "m = json.load(sys.stdin)[\"mounts\"][0]; print(m[\"layers\"], m[\"points\"], "
                     "m[\"free_bytes\"] > 0, m[\"full_since\"], m[\"writer\"][:5])'"),
              "2 1 True None root@\n");
}

TEST_F(StatusTest, AFullDeltaFolderIsSaidAndItGoesOnWhenThereIsSpace) {
    in_dir(
        "mkdir small && mount -t tmpfs -o size=24m imgfs-test small && "
        "$imgfs mount --delta small/delta web1/sda1 mnt && echo kept > mnt/kept && "
        "sync mnt/kept && head -c 10M /dev/zero > small/other");
    in_dir(
        "! dd if=/dev/urandom of=mnt/large bs=64k count=320 conv=fsync 2>error && "
        "grep 'No space left' error");
    const auto text = status();
    EXPECT_NE(text.find("full  delta folder full since "), std::string::npos) << text;
    EXPECT_NE(text.find(" is safe; free space and go on"), std::string::npos) << text;
    in_dir("grep 'delta folder full since' $($imgfs status mnt | sed -n 's/^  log   //p')");
    in_dir("rm small/other mnt/large && echo more > mnt/more && sync mnt/more");
    EXPECT_EQ(status().find("full since"), std::string::npos);
    in_dir(
        "$imgfs umount mnt && test \"$($imgfs cat --delta small/delta web1/sda1 /kept /more)\" "
        "= \"$(printf 'kept\\nmore')\"");
}

TEST_F(StatusTest, AHolderOnAnotherHostIsNamedAndOverriddenByName) {
    in_dir(
        "$imgfs mount web1/sda1 mnt && echo one > mnt/new && $imgfs umount mnt && "
        "printf 'user anna\\nhost nas2\\npid 4711\\nuse /mnt\\nsince 1795000000\\n' "
        "> web1/imgfs/sda1.ext4-ptcl-img.gz/lock");
    const auto refused = try_in_dir("$imgfs seal web1/sda1 monday 2>&1");
    EXPECT_EQ(refused.status, 4) << refused.output;
    EXPECT_NE(refused.output.find("anna@nas2, pid 4711, /mnt"), std::string::npos)
        << refused.output;
    in_dir(
        "$imgfs cat web1/sda1 /new && $imgfs seal web1/sda1 monday --break-lock && "
        "$imgfs seal web1/sda1 tuesday");
}

TEST_F(StatusTest, AWriterThatLostItsDeltaStopsAndSaysSo) {
    in_dir(
        "$imgfs mount web1/sda1 mnt && echo one > mnt/new && sync mnt/new && "
        "printf 'user anna\\nhost nas2\\npid 4711\\nuse /mnt\\nsince 1795000000\\n' "
        "> web1/imgfs/sda1.ext4-ptcl-img.gz/lock && echo two > mnt/new && "
        "! sync mnt/new 2>/dev/null");
    const auto text = status();
    EXPECT_NE(text.find("taken over by anna@nas2"), std::string::npos) << text;
    EXPECT_NE(text.find("later writes are lost; imgfs umount and mount again"), std::string::npos)
        << text;
    EXPECT_EQ(try_in_dir("$imgfs umount mnt 2>/dev/null").status, 1);
    EXPECT_EQ(in_dir("$imgfs cat web1/sda1 /new 2>/dev/null"), "one\n");
}

}  // namespace
}  // namespace imgfs
