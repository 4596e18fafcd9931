#include "sync/push.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/file.h>

#include <cerrno>
#include <set>
#include <utility>

#include "fs/base/error.h"
#include "tests/sync/push_fixture.h"

namespace imgsync {
namespace {

/// One of each: small, large and sparse files, links, devices, xattrs, ACLs, odd names and times.
constexpr const char* kMakeTree = R"sh(
mkdir -p source/a/b source/empty; cd source
echo hi > small; head -c 300000 /dev/urandom > big; : > nothing
ln small link; ln small a/link; ln -s nowhere dangling; ln -s a/b to-b
mkfifo fifo; mknod char c 5 6; mknod block b 7 250; mknod wide c 300 70000; ln char char-link
python3 -c "import socket; socket.socket(socket.AF_UNIX).bind('socket')"
truncate -s 10M sparse; echo x | dd of=sparse bs=1 seek=5000000 conv=notrunc status=none
printf 1 > "$(printf 'new\nline')"; printf 2 > "$(printf 'not-utf8-\377')"; printf 3 > ' -n '
printf 4 > "$(printf 'n%.0s' {1..255})"; ln -s x "$(printf 's%.0s' {1..255})"
setfattr -n user.note -v some small; setfattr -n user.empty big; setfattr -n user.d -v 1 a
setfattr -h -n trusted.link -v t dangling; setfattr -n trusted.dev -v t char
setfacl -m u:33:r,g:44:rw big; setfacl -d -m u:34:rwx a; echo in > a/b/deep
chown 1000:1001 small a; chown -h 5:6 dangling; chown 7:8 char
setfattr -n security.capability -v 0x0100000200200000000000000000000000000000 a/b/deep
chmod 4711 big; chmod 1777 empty; chmod 0 nothing; chmod 2750 a/b
touch -d '2001-02-03 04:05:06.123456789' a/b big; touch -h -d '1969-01-01 00:00:00.5' dangling
touch -d '2040-01-01' char fifo socket; touch -d '2002-01-01' .
)sh";

using PushTest = PushFixture;

TEST_F(PushTest, MakesANewTargetEqual) {
    in_directory(kMakeTree);
    const auto summary = push_equal();
    EXPECT_EQ(summary.target.changed, 0u);
    EXPECT_GT(summary.bytes_saved, 9'000'000u);  // the hole didn't travel
    EXPECT_LT(std::stoul(in_directory("stat -c %b target/sparse")), 100u);
}

TEST_F(PushTest, SendsNothingTheSecondTime) {
    trust_fresh_files();
    in_directory(kMakeTree);
    push_equal();
    const auto summary = push_equal();
    EXPECT_EQ(summary.target, TargetCounts{});
    EXPECT_EQ(summary.bytes_read, 0u);
    EXPECT_LT(summary.bytes_sent, 10'000u);
}

TEST_F(PushTest, SendsOnlyWhatDiffersInALargeFile) {
    in_directory("mkdir source && head -c 4000000 /dev/urandom > source/big");
    push_equal();
    in_directory(
        "for at in 100 2000000 3999000; do printf change | dd of=source/big bs=1 seek=$at "
        "conv=notrunc status=none; done; (printf front; cat source/big) > source/b && mv source/b "
        "source/big");
    const auto summary = push_equal();
    EXPECT_EQ(summary.target.changed, 1u);
    EXPECT_LT(summary.bytes_sent, 20'000u);
    EXPECT_LT(summary.bytes_received, 60'000u);
}

TEST_F(PushTest, ChangesOnlyAttributes) {
    trust_fresh_files();
    in_directory(kMakeTree);
    push_equal();
    in_directory(
        "cd source && touch -h -r a/b -d '+1 day' dangling && chmod 600 small && setfattr "
        "-x user.empty big && chown 9:9 fifo && setfacl -b a && setfacl -b big");
    const auto summary = push_equal();
    EXPECT_EQ(summary.bytes_read, 0u);
    EXPECT_EQ(summary.target.attributes, 5u);
}

TEST_F(PushTest, KeepsAndCountsWhatOnlyTheTargetHasUnlessToldToDelete) {
    in_directory(
        "mkdir -p source/d target/d target/e; echo 1 > source/f; echo 2 > target/d/g; "
        "echo 3 > target/e/h; ln -s x target/l");
    options_.delete_extra = false;
    EXPECT_EQ(push_now().target.kept, 3u);
    EXPECT_EQ(in_directory("cd target; find . | sort"), ".\n./d\n./d/g\n./e\n./e/h\n./f\n./l\n");
    options_.delete_extra = true;
    EXPECT_EQ(push_equal().target.deleted, 4u);
}

TEST_F(PushTest, LeavesWhatIsExcludedAloneAtBothEnds) {
    in_directory(
        "mkdir -p source/tmp source/a target/tmp target/gone/tmp target/b; cd source; "
        "touch tmp/s a/x.o a/y; cd ../target; touch tmp/t gone/tmp/u b/z.o b/w");
    options_.excludes = {"/tmp/*", "*.o", "/gone/tmp"};
    push_now();
    EXPECT_EQ(in_directory("cd target; find . | sort"),
              ".\n./a\n./a/y\n./b\n./b/z.o\n./gone\n./gone/tmp\n./gone/tmp/u\n./tmp\n./tmp/t\n");
}

TEST_F(PushTest, LeavesOutWhatOnlyARunningSystemHas) {
    in_directory(
        "for d in dev proc sys tmp run mnt media lost+found etc home; do mkdir -p source/$d "
        "source/home/$d target/$d; touch source/$d/s source/home/$d/s target/$d/t; done; "
        "chmod 1777 source/tmp");
    push_now();
    EXPECT_EQ(
        in_directory("cd target; ls dev proc sys tmp run mnt media lost+found | grep -c '^t$'"),
        "8\n");
    EXPECT_EQ(in_directory("cd target; ls home/tmp etc; stat -c %a tmp"),
              "etc:\ns\n\nhome/tmp:\ns\n1777\n");
    options_.default_excludes = false;
    push_equal();
    in_directory("rm -r source/etc");
    EXPECT_EQ(root_excludes(source_), std::vector<std::string>());
}

TEST_F(PushTest, ChangesTypes) {
    // Every kind becomes every other one, a name for each pair.
    const std::string make =
        "make() { case $2 in 0) echo f > $1;; 1) mkdir $1; echo in > $1/y;; 2) ln -s t $1;; 3) "
        "mkfifo "
        "$1;; 4) mknod $1 c 1 3;; 5) mknod $1 c 1 5;; 6) ln -s other $1;; 7) mkdir $1;; esac; }; "
        "pairs() { for a in {0..7}; do for b in {0..7}; do make $a$b ${!1}; done; done; }; ";
    in_directory("mkdir source; cd source; " + make + "pairs a");
    push_equal();
    in_directory("cd source; rm -rf *; " + make + "pairs b");
    push_equal();
}

TEST_F(PushTest, PutsNothingInPlaceOfAFullDirectoryWithoutDelete) {
    in_directory(
        "mkdir -p source target/x target/z; echo f > source/x; echo g > source/z; "
        "echo in > target/x/y; echo h > source/zz");
    options_.delete_extra = false;
    push_now();
    ASSERT_EQ(problems_.size(), 1u);
    EXPECT_NE(problems_[0].find("--delete"), std::string::npos);
    EXPECT_EQ(in_directory("cat target/x/y target/z target/zz"), "in\ng\nh\n");
}

TEST_F(PushTest, RegroupsHardLinks) {
    in_directory(
        "mkdir source target; cd source; echo 1 > a; ln a b; echo 1 > c; ln c d; echo 1 > e; "
        "echo 1 > f; ln f g; ln -s t s1; ln s1 s2; touch -d 2001-01-01 a c e f; "
        "cd ../target; echo 1 > a; ln a c; ln a e; ln a g; touch -d 2001-01-01 a; "
        "echo 1 > b; ln b d; touch -d 2001-01-01 b; ln -s t s1; ln -s t s2");
    push_equal();
    in_directory("cd source; rm b; ln e b; rm g; cp -p f g; ln f h; mkdir z; ln a z/a");
    push_equal();
}

TEST_F(PushTest, RegroupsLargeHardLinksByDelta) {
    in_directory(
        "mkdir source target; head -c 1000000 /dev/urandom > source/a; cp -p source/a source/b; "
        "cp -p source/a target/a; ln target/a target/b");
    EXPECT_LT(push_equal().bytes_sent, 10'000u);
}

TEST_F(PushTest, WaitsWithHardLinksForTheirContent) {
    in_directory(
        "mkdir -p source/z; cd source; head -c 500000 /dev/urandom > a; for n in {1..150}; do "
        "ln a b$n; done; ln a z/a");
    EXPECT_EQ(push_equal().target.linked, 151u);
}

TEST_F(PushTest, DecidesByContentWithChecksum) {
    in_directory(
        "mkdir source; head -c 100000 /dev/zero | tr '\\0' x > source/big; echo 1 > source/a; "
        "echo 2 > source/b; touch -d 2001-01-01 source/*; cp -a source target; "
        "echo 3 > target/a; printf y | dd of=target/big bs=1 seek=70000 conv=notrunc status=none; "
        "touch -d 2001-01-01 target/*; touch target/b; touch -r source target");
    options_.checksum = true;
    const auto summary = push_equal();
    EXPECT_EQ(summary.target.changed, 2u);
    EXPECT_EQ(summary.target.attributes, 1u);
    EXPECT_EQ(push_equal().target, TargetCounts{});
}

TEST_F(PushTest, ManyFilesThatDifferByContentOnlyAreSent) {
    in_directory(
        "mkdir source; for n in {1001..2500}; do echo $n > source/$n; done; "
        "touch -d 2001-01-01 source/*; cp -a source target; "
        "for n in {1001..2500}; do echo xxxx > target/$n; "
        "done; touch -d 2001-01-01 target/*; touch -r source target");
    options_.checksum = true;
    EXPECT_EQ(push_equal().target.changed, 1500u);
}

TEST_F(PushTest, ADryRunListsAndChangesNothing) {
    in_directory(kMakeTree);
    in_directory(
        "echo 1 > source/was; cp -a source target; cd target; echo other > small; rm -r a; "
        "mkdir more; touch more/x; chmod 1 big; rm char; touch char; ln nothing l2; rm was; "
        "mkdir -p was/a; touch was/{1,2,3} was/a/x");
    const auto before = imgfs::tree_listing(target_);
    std::vector<std::string> items;
    options_.dry_run = options_.list_items = true;
    options_.on_item = [&](const Item& item) {
        items.push_back(std::to_string(static_cast<int>(item.action)) + " " + item.path);
    };
    const auto would = push_now();
    EXPECT_EQ(imgfs::tree_listing(target_), before);
    const auto listed = std::exchange(items, {});
    options_.dry_run = false;
    const auto did = push_equal();
    EXPECT_EQ(would.target.created, did.target.created);
    EXPECT_EQ(would.target.changed, did.target.changed);
    EXPECT_EQ(would.target.deleted, did.target.deleted);
    EXPECT_EQ(would.target.attributes, did.target.attributes);
    EXPECT_EQ(std::multiset<std::string>(listed.begin(), listed.end()),
              std::multiset<std::string>(items.begin(), items.end()));
}

TEST_F(PushTest, ADryRunOntoNothingMakesNothing) {
    in_directory(kMakeTree);
    options_.dry_run = true;
    const auto would = push_now();
    EXPECT_EQ(in_directory("ls -A"), "source\n");
    options_.dry_run = false;
    EXPECT_EQ(would.target.created, push_equal().target.created);
}

TEST_F(PushTest, GoesOnWhenFilesVanish) {
    in_directory(
        "mkdir -p source/d; for n in {1..300}; do echo $n > source/$n; done; echo x > "
        "source/d/y; ln source/1 source/d/link");
    // Progress is first told when names were sent and no file yet.
    options_.on_progress = [this, first = true](const PushSummary&) mutable {
        if (std::exchange(first, false)) {
            in_directory("rm source/1 source/10; rm -r source/d");
        }
    };
    const auto summary = push_now();
    EXPECT_EQ(summary.problems, 0u);
    EXPECT_EQ(summary.vanished, 3u);
    EXPECT_EQ(in_directory("cat target/2; ls target | wc -l"), "2\n298\n");
}

TEST_F(PushTest, SendsAFileThatShrinksOrGrowsMeanwhile) {
    in_directory(
        "mkdir source; head -c 3000000 /dev/urandom > source/shrinks; head -c 3000000 "
        "/dev/urandom > source/grows");
    options_.on_progress = [this, first = true](const PushSummary& so_far) mutable {
        if (so_far.bytes_read > 0 && std::exchange(first, false)) {
            in_directory("cd source; truncate -s 500000 shrinks; echo more >> grows");
        }
    };
    push_now();
    options_.on_progress = {};
    push_equal();
}

TEST_F(PushTest, LeavesOtherFileSystemsOut) {
    in_directory(
        "mkdir -p source/m target/m; echo hidden > target/m/old; echo f > source/f; "
        "touch source/file target/file; echo keep > target/file");
    in_directory(
        "mount -t tmpfs none source/m; touch source/m/inside; "
        "mount --bind source/m/inside source/file");
    options_.one_file_system = true;
    push_now();
    const auto left = in_directory("find target | sort; cat target/file");
    options_.one_file_system = false;
    push_now();
    const auto all = in_directory("find target | sort");
    in_directory("umount source/file source/m");
    EXPECT_EQ(left, "target\ntarget/f\ntarget/file\ntarget/m\ntarget/m/old\nkeep\n");
    EXPECT_EQ(all, "target\ntarget/f\ntarget/file\ntarget/m\ntarget/m/inside\n");
}

TEST_F(PushTest, NeverGoesIntoATargetInsideTheSource) {
    in_directory("mkdir -p source/sub; echo f > source/sub/f");
    options_.target = source_ + "/sub/target";
    push_now();
    push_now();
    EXPECT_EQ(in_directory("cd source/sub/target; find . | sort"), ".\n./sub\n./sub/f\n");
    options_.target = directory_.path();
    EXPECT_THROW(push_now(), std::system_error);
    options_.target = source_;
    EXPECT_THROW(push_now(), std::system_error);
    EXPECT_EQ(in_directory("cat source/sub/f"), "f\n");
}

TEST_F(PushTest, OnlyOnePushWorksOnATarget) {
    in_directory("mkdir source target");
    const auto held = imgfs::open_file(target_, O_RDONLY | O_DIRECTORY);
    ASSERT_EQ(::flock(held.get(), LOCK_EX), 0);
    try {
        push_now();
        FAIL() << "two at once";
    } catch (const std::system_error& error) {
        EXPECT_EQ(error.code().value(), EBUSY);
    }
}

TEST_F(PushTest, RemovesWhatAKilledRunLeft) {
    in_directory(
        "mkdir -p source/d target/d; touch target/.imgsync.0123456789abcdef "
        "target/d/.imgsync.00112233445566ff target/.imgsync.mine");
    options_.delete_extra = false;
    push_now();
    EXPECT_EQ(in_directory("find target -type f"), "target/.imgsync.mine\n");
}

TEST_F(PushTest, StopsWhenInterruptedAndLeavesNoTemporaryFile) {
    in_directory(
        "mkdir source; for n in {1..3}; do head -c 20000000 /dev/urandom > source/$n; done");
    const imgfs::Fd interrupt(::eventfd(0, EFD_CLOEXEC));
    options_.interrupt = interrupt.get();
    options_.on_progress = [&](const PushSummary& so_far) {
        if (so_far.bytes_read > 5'000'000) {
            ::eventfd_write(interrupt.get(), 1);
        }
    };
    try {
        push_now();
        FAIL() << "went on";
    } catch (const std::system_error& error) {
        EXPECT_EQ(error.code().value(), ECANCELED);
    }
    EXPECT_EQ(in_directory("ls -A target | grep -v '^[123]$' || true"), "");
}

TEST_F(PushTest, EndsWhenTheTargetIsFull) {
    in_directory(
        "mkdir source target; mount -t tmpfs -o size=2m none target; head -c 5000000 "
        "/dev/urandom > source/big; echo x > source/a");
    int code = 0;
    try {
        push_now();
    } catch (const std::system_error& error) {
        code = error.code().value();
    }
    const auto left = in_directory("ls -A target");
    in_directory("umount target");
    EXPECT_EQ(code, ENOSPC);
    EXPECT_EQ(left, "a\n");
}

TEST_F(PushTest, TakesWholeSecondsWhereTheTargetStoresNoMore) {
    trust_fresh_files();
    in_directory(
        "mkdir source target; for n in {1..9}; do echo $n > source/$n; done; truncate -s 8M image; "
        "mke2fs -q -t ext2 -I 128 image; mount -o loop image target");
    push_now();
    const auto again = push_now();
    in_directory("touch -d '+5 sec' source/3");
    const auto changed = push_now();
    in_directory("umount target");
    EXPECT_EQ(again.bytes_read, 0u);
    EXPECT_EQ(again.target.changed + again.target.attributes, 0u);
    EXPECT_EQ(changed.target.changed, 1u);
}

TEST_F(PushTest, WalksDeepAndWideTrees) {
    in_directory(
        "mkdir source; cd source; for n in {1..300}; do mkdir w$n; echo $n > w$n/f; done; "
        "for n in {1..100}; do mkdir d; cd d; echo $n > f; done");
    push_equal();
    in_directory("rm -r source/d source/w2*");
    push_equal();
}

}  // namespace
}  // namespace imgsync
