// Recovery points as their users meet them.
#include <algorithm>

#include "tests/support/real_image.h"

namespace imgfs {
namespace {

using PointsTest = RealImageTest;

TEST_F(PointsTest, EachPointIsReadAsItWasByEveryCommand) {
    const auto before = image_hash();
    in_dir(
        "$imgfs mount web1/sda1 mnt && echo one > mnt/new && rm mnt/etc/f1.conf && "
        "$imgfs seal web1/sda1 monday --note 'before the update' && "
        "echo two > mnt/new && mkdir mnt/later && $imgfs umount mnt && "
        "$imgfs seal web1/sda1 tuesday && "
        "$imgfs mount web1/sda1 mnt && echo three > mnt/new && $imgfs umount mnt");
    EXPECT_EQ(in_dir("for at in monday tuesday $(date +%F); do "
                     "$imgfs cat web1/sda1 /new --at $at 2>/dev/null; done; "
                     "$imgfs cat web1/sda1 /new 2>/dev/null"),
              "one\ntwo\ntwo\nthree\n");
    in_dir(
        "! $imgfs cat web1/sda1 /new --at base 2>/dev/null && "
        "$imgfs ls web1/sda1 /etc/f1.conf --at base && "
        "! $imgfs ls web1/sda1 /etc/f1.conf --at monday 2>/dev/null");
    in_dir(
        "$imgfs mount web1/sda1 mnt --at monday && test $(cat mnt/new) = one && "
        "! test -e mnt/later && ! touch mnt/x 2>/dev/null && $imgfs umount mnt");
    for (const auto* at : {"base", "monday", "tuesday"}) {
        in_dir("$imgfs restore web1/sda1 disk --overwrite --at " + std::string(at) +
               " && e2fsck -fn disk");
    }
    in_dir("rm disk");
    expect_restores_clean();
    EXPECT_EQ(image_hash(), before) << "the image is never written (promise 1)";
}

TEST_F(PointsTest, TheyAreListed) {
    EXPECT_EQ(in_dir("$imgfs points web1/sda1 2>/dev/null"), "base  the image as saved\n");
    in_dir(
        "$imgfs mount web1/sda1 mnt && echo one > mnt/new && "
        "$imgfs seal web1/sda1 monday --note 'before the update' && $imgfs umount mnt");
    const auto list = in_dir("$imgfs points web1/sda1 2>/dev/null");
    EXPECT_NE(list.find("monday  "), std::string::npos) << list;
    EXPECT_NE(list.find("before the update"), std::string::npos) << list;
    EXPECT_EQ(list.find("now"), std::string::npos) << list;
    EXPECT_EQ(in_dir("$imgfs points web1/sda1 --json 2>/dev/null | python3 -c 'import json, sys; "
                     "d = json.load(sys.stdin); p = d[\"points\"][0]; "
                     "print(p[\"name\"], p[\"note\"], p[\"bytes\"] > 0, d[\"unsealed_bytes\"])'"),
              "monday before the update True 0\n");
    EXPECT_NE(in_dir("$imgfs info web1/sda1").find("1 point"), std::string::npos);
}

TEST_F(PointsTest, WhatCantBeDoneIsSaidInOneLine) {
    in_dir("$imgfs mount web1/sda1 mnt && echo one > mnt/new && $imgfs seal web1/sda1 one");
    for (const auto* command :
         {"$imgfs seal web1/sda1 one", "$imgfs seal web1/sda1 base", "$imgfs seal web1/sda1 a/b",
          "$imgfs cat web1/sda1 /new --at two", "$imgfs restore web1/sda1 disk --at 2001-01-01"}) {
        const auto result = try_in_dir(std::string(command) +
                                       " 2>&1 >/dev/null | "
                                       "grep -v '^imgfs: delta: '; "
                                       "exit ${PIPESTATUS[0]}");
        EXPECT_EQ(result.status, 1) << command;
        EXPECT_EQ(std::ranges::count(result.output, '\n'), 1) << result.output;
    }
    EXPECT_EQ(try_in_dir("$imgfs mount web1/sda1 mnt2 --at one --read-write").status, 2);
    in_dir("$imgfs umount mnt");
}

TEST_F(PointsTest, APointOutlivesTheDaemonThatMadeIt) {
    in_dir(
        "$imgfs mount web1/sda1 mnt && echo one > mnt/new && $imgfs seal web1/sda1 one && "
        "echo two > mnt/new && sync mnt/new && kill_daemon");
    EXPECT_EQ(in_dir("$imgfs cat web1/sda1 /new --at one 2>/dev/null; "
                     "$imgfs cat web1/sda1 /new 2>/dev/null"),
              "one\ntwo\n");
    expect_restores_clean();
}

TEST_F(PointsTest, ARollbackIsSaidAndCanBeUndone) {
    in_dir(
        "$imgfs mount web1/sda1 mnt && echo one > mnt/new && $imgfs seal web1/sda1 monday && "
        "echo two > mnt/new && $imgfs seal web1/sda1 tuesday && echo three > mnt/new");
    const auto mounted = try_in_dir("$imgfs rollback web1/sda1 monday 2>&1");
    EXPECT_EQ(mounted.status, 4) << mounted.output;
    EXPECT_NE(mounted.output.find("imgfs umount"), std::string::npos) << mounted.output;
    in_dir("$imgfs umount mnt");
    const auto said = in_dir("$imgfs rollback web1/sda1 monday 2>/dev/null");
    EXPECT_NE(said.find("set aside: point tuesday"), std::string::npos) << said;
    EXPECT_NE(said.find("set aside: changes after the last point"), std::string::npos) << said;
    const auto cat = "$imgfs cat web1/sda1 /new 2>/dev/null";
    EXPECT_EQ(in_dir(cat), "one\n");
    expect_restores_clean();
    EXPECT_NE(in_dir("$imgfs points web1/sda1 2>/dev/null").find("set aside by rollback"),
              std::string::npos);
    in_dir("$imgfs rollback web1/sda1 --undo");
    EXPECT_EQ(in_dir(cat), "three\n");
    EXPECT_EQ(try_in_dir("$imgfs rollback web1/sda1 --undo 2>/dev/null").status, 1);
    EXPECT_EQ(try_in_dir("$imgfs rollback web1/sda1 2>/dev/null").status, 2);
    EXPECT_EQ(try_in_dir("$imgfs rollback web1/sda1 wednesday 2>/dev/null").status, 1);
}

TEST_F(PointsTest, APruneKeepsWhatTheRulesKeep) {
    in_dir(
        "$imgfs mount web1/sda1 mnt && for i in 1 2 3 4 5; do "
        "  dd if=/dev/urandom of=mnt/data bs=1M count=2 status=none && echo $i > mnt/new && "
        "  $imgfs seal web1/sda1 p$i; done && echo now > mnt/new");
    EXPECT_EQ(try_in_dir("$imgfs prune web1/sda1 --keep-last 2 2>/dev/null").status, 4);
    in_dir("$imgfs umount mnt");
    const auto before = in_dir("$imgfs points web1/sda1 2>/dev/null; ls -l web1/imgfs/*");
    EXPECT_EQ(try_in_dir("$imgfs prune web1/sda1 2>/dev/null").status, 2);
    EXPECT_EQ(try_in_dir("$imgfs prune web1/sda1 --keep-last x 2>/dev/null").status, 2);
    EXPECT_EQ(try_in_dir("$imgfs prune web1/sda1 --keep-within 3 2>/dev/null").status, 2);
    const auto dry = in_dir("$imgfs prune web1/sda1 --keep-last 2 --dry-run 2>/dev/null");
    EXPECT_NE(dry.find("3 points would be removed"), std::string::npos) << dry;
    EXPECT_EQ(in_dir("$imgfs points web1/sda1 2>/dev/null; ls -l web1/imgfs/*"), before);
    const auto done = in_dir("$imgfs prune web1/sda1 --keep-last 2 2>/dev/null");
    EXPECT_NE(done.find("3 points removed"), std::string::npos) << done;
    EXPECT_EQ(in_dir("$imgfs points web1/sda1 --json 2>/dev/null | python3 -c 'import json, sys; "
                     "print([p[\"name\"] for p in json.load(sys.stdin)[\"points\"]])'"),
              "['p4', 'p5']\n");
    EXPECT_EQ(in_dir("for at in p4 p5; do $imgfs cat web1/sda1 /new --at $at 2>/dev/null; done; "
                     "$imgfs cat web1/sda1 /new 2>/dev/null"),
              "4\n5\nnow\n");
    EXPECT_EQ(in_dir("ls web1/imgfs/*/*.layer | wc -l"), "3\n");
    expect_restores_clean();
    in_dir("$imgfs verify web1/sda1");
}

TEST_F(PointsTest, APointGoesToACopyOfTheImageAsAFile) {
    in_dir(
        "mkdir copy && cp web1/*.gz.a? copy/ && $imgfs mount web1/sda1 mnt && echo one > mnt/new "
        "&& "
        "$imgfs seal web1/sda1 monday --note 'first' && echo two > mnt/new && "
        "$imgfs seal web1/sda1 tuesday && $imgfs export web1/sda1 monday monday.point && "
        "$imgfs export web1/sda1 tuesday tuesday.point && $imgfs umount mnt");
    EXPECT_EQ(try_in_dir("$imgfs import copy/sda1 tuesday.point 2>/dev/null").status, 1);
    in_dir("$imgfs import copy/sda1 monday.point && $imgfs import copy/sda1 tuesday.point");
    EXPECT_EQ(in_dir("for at in monday tuesday; do "
                     "$imgfs cat copy/sda1 /new --at $at 2>/dev/null; done"),
              "one\ntwo\n");
    EXPECT_EQ(try_in_dir("$imgfs export web1/sda1 monday monday.point 2>/dev/null").status, 2);
    EXPECT_EQ(try_in_dir("$imgfs import copy/sda1 web1/sda1.ext4-ptcl-img.gz.aa 2>&1").status, 1);
    in_dir("$imgfs verify copy/sda1");
}

}  // namespace
}  // namespace imgfs
