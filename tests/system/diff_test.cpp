// imgfs diff and mounts of all points, as their users meet them.
#include "tests/support/real_image.h"

namespace imgfs {
namespace {

class DiffTest : public RealImageTest {
  protected:
    /// What `imgfs diff` prints for `operands`, having exited with `status`.
    std::string diff(const std::string& operands, int status) const {
        const auto result = try_in_dir("$imgfs diff " + operands + " 2>/dev/null");
        EXPECT_EQ(result.status, status) << operands << "\n" << result.output;
        return result.output;
    }

    void make_two_points() const {
        in_dir(
            "$imgfs mount web1/sda1 mnt && cd mnt && echo one > new && rm etc/f1.conf && "
            "chmod 600 etc/f2.conf && $imgfs seal ../web1/sda1 one && "
            "echo more >> new && mv bin tools && sed -i s/old/new/ etc/fstab && "
            "echo x >> tools/numbers && mkdir 'new dir' && touch \"$(printf 'new dir/a\\nb')\" && "
            "$imgfs seal ../web1/sda1 two && rm new && cd .. && $imgfs umount mnt");
    }
};

TEST_F(DiffTest, FilesThatDifferAreNamed) {
    EXPECT_EQ(diff("web1/sda1", 0), "");
    make_two_points();
    EXPECT_EQ(diff("web1/sda1 base one", 3), "D /etc/f1.conf\nM /etc/f2.conf\nA /new\n");
    const std::string second =
        "R /bin -> /tools\nC /etc/fstab\nC /new\nA /new dir\nA $'/new dir/a\\x0ab'\n"
        "C /tools/numbers\n";
    EXPECT_EQ(diff("web1/sda1 one two", 3), second);
    EXPECT_EQ(diff("web1/sda1 two", 3), "D /new\n");
    EXPECT_EQ(diff("web1/sda1 one one", 0), "");
    EXPECT_EQ(diff("web1/sda1 two one", 3),
              "C /bin/numbers\nC /etc/fstab\nC /new\nD /new dir\nD $'/new dir/a\\x0ab'\n"
              "R /tools -> /bin\n");
    const auto all = diff("web1/sda1", 3);
    EXPECT_EQ(all,
              "R /bin -> /tools\nD /etc/f1.conf\nM /etc/f2.conf\nC /etc/fstab\nA /new dir\n"
              "A $'/new dir/a\\x0ab'\nC /tools/numbers\n");
    EXPECT_EQ(diff("web1/sda1 $(date +%F)", 3), "D /new\n") << "a date is the last point of a day";
}

TEST_F(DiffTest, CountsGoToStderrAndJsonHoldsItAll) {
    make_two_points();
    EXPECT_NE(try_in_dir("$imgfs diff web1/sda1 base one 2>&1 >/dev/null")
                  .output.find("from base to one: 1 added, 0 changed, 1 deleted, 1 metadata, "
                               "0 renamed\n"),
              std::string::npos);
    EXPECT_EQ(in_dir("$imgfs diff --json web1/sda1 one two 2>/dev/null | python3 -c 'import json, "
                     "sys; d = json.load(sys.stdin); print(d[\"from\"], d[\"to\"], d[\"schema\"]); "
                     "[print(e[\"change\"], repr(e[\"path\"]), e.get(\"new_path\", \"\")) "
                     "for e in d[\"differences\"]]' || test $? = 3"),
              "one two 1\nrenamed '/bin' /tools\nchanged '/etc/fstab' \nchanged '/new' \n"
              "added '/new dir' \nadded '/new dir/a\\nb' \nchanged '/tools/numbers' \n");
    EXPECT_EQ(try_in_dir("$imgfs diff --json web1/sda1 two two").status, 0);
}

TEST_F(DiffTest, WhatWasCommittedIsSeenWhileItIsMounted) {
    in_dir("$imgfs mount web1/sda1 mnt && echo one > mnt/new && $imgfs sync mnt");
    EXPECT_EQ(diff("web1/sda1", 3), "A /new\n");
    in_dir("$imgfs umount mnt");
}

TEST_F(DiffTest, WhatCantBeComparedIsSaid) {
    EXPECT_EQ(diff("web1/sda1 nowhere", 1), "");
    EXPECT_EQ(try_in_dir("$imgfs diff web1/sda1 a b c").status, 2);
    const auto result = try_in_dir("head -c 1048576 /dev/zero > raw && $imgfs diff raw");
    EXPECT_EQ(result.status, 1);
    EXPECT_NE(result.output.find("holds no ext2, ext3 or ext4"), std::string::npos)
        << result.output;
}

using MountedPointsTest = DiffTest;

TEST_F(MountedPointsTest, EachIsAFolder) {
    const auto before = image_hash();
    make_two_points();
    in_dir("$imgfs mount --points web1/sda1 mnt");
    EXPECT_EQ(in_dir("ls mnt"), "base\none\ntwo\n");
    EXPECT_EQ(in_dir("cat mnt/one/new mnt/two/new"), "one\none\nmore\n");
    EXPECT_EQ(in_dir("cd mnt && ! LC_ALL=C diff -rq --no-dereference --exclude=fifo --exclude=null "
                     "base one"),
              "Only in base/etc: f1.conf\nOnly in one: new\n");
    in_dir("cmp mnt/base/bin/big mnt/two/tools/big && test mnt/one/bin/big -ef mnt/one/bin/hard");
    in_dir("! test mnt/base/bin/big -ef mnt/one/bin/big");
    EXPECT_EQ(in_dir("find mnt ! -type f -printf '%i\\n' | sort | uniq -d"), "")
        << "no two files have one number";
    in_dir(
        "! touch mnt/one/x 2>/dev/null && ! rm mnt/one/new 2>/dev/null && "
        "! mkdir mnt/x 2>/dev/null && ! rmdir mnt/one 2>/dev/null && test -e mnt/one/new");
    in_dir(
        "test \"$(stat -c %Y mnt/one)\" -gt $(($(date +%s) - 600)) && getfattr -d "
        "mnt/two/etc/f2.conf | grep -q blue && df mnt");
    in_dir("$imgfs status mnt | grep -q read-only && $imgfs umount mnt");
    EXPECT_EQ(image_hash(), before);
}

TEST_F(MountedPointsTest, FiftyOfThemAreWalkedThrough) {
    in_dir(
        "$imgfs mount web1/sda1 mnt && for i in $(seq 50); do echo $i > mnt/number && "
        "$imgfs seal web1/sda1 p$i || exit 1; done && $imgfs umount mnt && "
        "(ulimit -n 256 && $imgfs mount --points web1/sda1 mnt)");
    EXPECT_EQ(in_dir("ls mnt | wc -l; for i in $(seq 50); do cat mnt/p$i/number; done | sort -n | "
                     "cmp - <(seq 50) && ! test -e mnt/base/number"),
              "51\n");
    in_dir(
        "find mnt -name number | wc -l | grep -qx 50 && "
        "for i in $(seq 50); do (cat mnt/p$i/number mnt/p$i/bin/numbers > /dev/null) & done; "
        "wait && test $(cat mnt/p7/number) = 7 && $imgfs umount mnt");
}

TEST_F(MountedPointsTest, OptionsThatMakeNoSenseWithThemAreRefused) {
    for (const auto* option : {"--at base", "--raw", "--read-write"}) {
        EXPECT_EQ(try_in_dir("$imgfs mount --points web1/sda1 mnt " + std::string(option)).status,
                  2)
            << option;
    }
    in_dir(
        "$imgfs mount --points web1/sda1 mnt && test \"$(ls mnt)\" = base && "
        "cat mnt/base/etc/fstab && $imgfs umount mnt");
}

}  // namespace
}  // namespace imgfs
