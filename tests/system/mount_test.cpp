// The mount as its users meet it: the tools they run, what is kept, what a crash leaves.
#include "tests/support/real_image.h"
#include "tests/support/tree_listing.h"

namespace imgfs {
namespace {

using MountTest = RealImageTest;

TEST_F(MountTest, EverydayToolsWorkAndTheRestoredDiskHoldsWhatTheyDid) {
    const auto before = image_hash();
    in_dir("$imgfs mount --suid --dev web1/sda1 mnt");
    in_dir("diff -r --no-dereference --exclude=lost+found --exclude=fifo --exclude=null tree mnt");
    // The same work on the mount and on a plain directory.
    in_dir(
        "for root in mnt tree; do (set -e; cd $root; "
        "cp -a bin bin2; mv bin2 tools; rm tools/numbers; ln etc/f1.conf etc/again; "
        "ln -s nowhere dangling; chmod 600 etc/f6.conf; chown 7:8 etc/f7.conf; mkdir -p a/b/c; "
        "touch -d '2001-02-03 04:05:06.789' a/b/c/old; truncate -s 3M a/cut; truncate -s 10 a/cut; "
        "mv -f etc/f8.conf etc/f9.conf; sed -i s/old/new/ etc/fstab; "
        "tar c -C .. tree/etc 2>/dev/null | tar x -C a; "
        "vi -es -c '%s/line/LINE/' -c wq etc/f10.conf; setfacl -m g:99:r etc/f11.conf; "
        "setfattr -n user.note -v hello etc/f12.conf; mknod pipe p; "
        "dd if=/dev/zero of=holes bs=4k count=1 seek=1000 status=none; rmdir a/b/c || true; "
        "rm -rf 'Grüße 日本'); done");
    in_dir(
        "cd mnt && git init -q repo && cd repo && cp -r ../etc . && git add -A && "
        "git -c user.name=t -c user.email=t@localhost commit -qm first && git fsck --strict && "
        "cd .. && rm -rf repo");
    in_dir(
        "rsync -aHAX --exclude=/a/tree --exclude=/lost+found tree/ mnt/ && df mnt && rm -rf "
        "mnt/a/tree "
        "tree/a/tree");
    in_dir("$imgfs umount mnt");
    expect_restores_clean();
    in_dir(
        "mkdir kernel && mount -o loop,ro disk kernel && rmdir tree/lost+found 2>/dev/null; "
        "mkdir -m 700 tree/lost+found && touch -r kernel/lost+found tree/lost+found && "
        "touch -r kernel tree && rsync -aHAXSni --checksum --delete --omit-dir-times tree/ kernel/ "
        "> "
        "differences; umount kernel; test ! -s differences || { cat differences; false; }");
    EXPECT_EQ(image_hash(), before) << "the image is never written (promise 1)";
}

TEST_F(MountTest, Ext2AndExt3AndSmallBlocksAreWrittenAndStayClean) {
    for (const auto* options :
         {"-t ext2", "-t ext3 -b 2048", "-t ext4 -b 1024", "-t ext4 -I 128"}) {
        SCOPED_TRACE(options);
        in_dir("rm -rf web1 disk");
        make_real_image((dir() / "tree").string(), (dir() / "web1").string(), options);
        in_dir(
            "$imgfs mount web1/sda1 mnt && cp -a tree/bin mnt/copy && rm -r mnt/etc && "
            "head -c 9000000 /dev/urandom > mnt/large && sha256sum mnt/large > sum && "
            "truncate -s 123456 mnt/copy/big && $imgfs umount mnt");
        expect_restores_clean();
        in_dir("$imgfs mount web1/sda1 mnt && sha256sum -c sum && $imgfs umount mnt");
    }
}

TEST_F(MountTest, NamesOver255BytesAreRefusedAndHarmNothing) {
    in_dir(
        "$imgfs mount web1/sda1 mnt && long=$(printf 'a%.0s' $(seq 255)) && touch mnt/$long && "
        "! touch mnt/${long}b 2>/dev/null && ! mkdir mnt/${long}b 2>/dev/null && "
        "! mv mnt/$long mnt/${long}b 2>/dev/null && ls mnt/$long && $imgfs umount mnt");
    expect_restores_clean();
}

TEST_F(MountTest, AFileDeletedWhileOpenIsReadToTheEndAndFreeInEveryCommit) {
    in_dir(
        "$imgfs mount web1/sda1 mnt && exec 5<mnt/bin/big && rm mnt/bin/big mnt/bin/hard && "
        "$imgfs sync mnt && cmp - tree/bin/big <&5 && "
        "$imgfs restore web1/sda1 disk && e2fsck -fn disk && rm disk && exec 5<&- && "
        "$imgfs umount mnt");
    expect_restores_clean();
}

TEST_F(MountTest, ReadingWritesNothingButTheIndex) {
    in_dir("$imgfs mount web1/sda1 mnt && tar c mnt >/dev/null && $imgfs umount mnt");
    EXPECT_EQ(in_dir("find web1/imgfs -type f -size +0 -printf '%f\\n'"), "index\n");
}

TEST_F(MountTest, AFolderThatCannotBeWrittenIsMountedReadOnlyAndSaysSo) {
    in_dir("mkdir ro && mount --bind web1 ro && mount -o remount,bind,ro ro");
    const auto mounted = in_dir("XDG_CACHE_HOME=$PWD/cache $imgfs mount ro/sda1 mnt");
    EXPECT_NE(mounted.find("mounted read-only"), std::string::npos) << mounted;
    in_dir("cat mnt/etc/fstab && ! touch mnt/new 2>/dev/null && $imgfs umount mnt");
    const auto refused =
        try_in_dir("XDG_CACHE_HOME=$PWD/cache $imgfs mount --read-write ro/sda1 mnt");
    EXPECT_EQ(refused.status, 1) << refused.output;
    in_dir(
        "XDG_CACHE_HOME=$PWD/cache $imgfs mount --delta d ro/sda1 mnt && touch mnt/new && "
        "$imgfs umount mnt && umount ro");
}

TEST_F(MountTest, TheRawViewIsThePartitionAndTheKernelMountsIt) {
    in_dir(
        "$imgfs restore web1/sda1 disk && $imgfs mount --raw web1/sda1 mnt && "
        "cmp mnt/partition disk && mkdir kernel && mount -o loop mnt/partition kernel && "
        "echo by the kernel > kernel/new && umount kernel && $imgfs umount mnt");
    expect_restores_clean();
    EXPECT_EQ(in_dir("$imgfs cat web1/sda1 /new 2>/dev/null"), "by the kernel\n");
}

TEST_F(MountTest, FstabMountsThroughTheHelper) {
    in_dir(
        "mkdir helper && ln -s $imgfs helper/mount.imgfs && "
        "helper/mount.imgfs web1/sda1 mnt -o ro,noauto,nofail && grep ' fuse.imgfs ro,' "
        "/proc/mounts"
        " && umount mnt");
}

TEST_F(MountTest, APlainUmountIsWaitedForByTheNextCommand) {
    in_dir(
        "$imgfs mount web1/sda1 mnt && head -c 20000000 /dev/urandom > mnt/large && "
        "sha256sum < mnt/large > sum && umount mnt && "
        "$imgfs cat web1/sda1 /large 2>/dev/null | sha256sum | diff - sum");
}

TEST_F(MountTest, StatusTellsOfTheMountAndOfADaemonThatDied) {
    in_dir("$imgfs mount web1/sda1 mnt");
    EXPECT_NE(in_dir("$imgfs status mnt").find("read/write"), std::string::npos);
    in_dir("kill_daemon");
    EXPECT_NE(in_dir("$imgfs status mnt").find("killed by signal 9"), std::string::npos);
}

TEST_F(MountTest, StatusNamesTheCommandThatRemovesADeadMount) {
    in_dir(
        "$imgfs mount web1/sda1 mnt && pid=$($imgfs status --json mnt | jq .mounts[0].pid) && "
        "kill -9 $(ps -o ppid= -p $pid) $pid && "
        "while kill -0 $pid 2>/dev/null && ! ps -o stat= -p $pid | grep Z; do sleep 0.05; done");
    const auto command = in_dir("$imgfs status mnt | grep -o 'imgfs umount [^ ]*'");
    in_dir("! ls mnt 2>/dev/null; $imgfs $(echo '" + command + "' | cut -d' ' -f2-) && ls mnt");
    EXPECT_EQ(try_in_dir("$imgfs status mnt").status, 1);
}

TEST_F(MountTest, ADeltaThatIsNotThereIsNotTakenForNoChanges) {
    const auto refused = try_in_dir("$imgfs mount -r --delta typo web1/sda1 mnt");
    EXPECT_EQ(refused.status, 1);
    EXPECT_NE(refused.output.find("no delta is there"), std::string::npos) << refused.output;
}

TEST_F(MountTest, DeltasStandBelowTheFolderThatTheEnvironmentNames) {
    in_dir(
        "export IMGFS_DELTA_ROOT=$PWD/deltas; $imgfs mount web1/sda1 mnt && echo kept > mnt/kept "
        "&& "
        "$imgfs umount mnt && test ! -e web1/imgfs/sda1.ext4-ptcl-img.gz/layers && "
        "test -n \"$(find deltas -name layers)\" && $imgfs cat web1/sda1 /kept && "
        "mv web1 moved && $imgfs cat moved/sda1 /kept");
    EXPECT_EQ(try_in_dir("$imgfs cat moved/sda1 /kept").status, 1) << "without it: as saved";
}

TEST_F(MountTest, CtrlCCommitsAndUnmounts) {
    in_dir(
        "$imgfs mount --foreground web1/sda1 mnt & pid=$!; "
        "for i in $(seq 200); do grep -q \" $PWD/mnt \" /proc/mounts && break; sleep 0.1; done; "
        "echo kept > mnt/kept; kill -INT $pid; wait $pid; $imgfs cat web1/sda1 /kept | grep kept");
}

TEST_F(MountTest, APushMakesTheImageEqualToADirectory) {
    in_dir(
        "rm -r tree/etc/f1.conf tree/sparse && seq 200001 > tree/bin/numbers && "
        "echo new > tree/new && mkdir tree/proc && chown 5:6 tree/etc/f2.conf && "
        "$imgfs mount --suid --dev web1/sda1 mnt && mkdir -p mnt/proc && touch mnt/proc/kept && "
        "$imgsync push --delete tree mnt && $imgfs umount mnt");
    expect_restores_clean();
    in_dir(
        "mkdir kernel && mount -o loop,ro disk kernel && test -e kernel/proc/kept && "
        "rsync -aHAXSni --checksum --delete --exclude=/proc/* --exclude=/lost+found tree/ kernel/ "
        "> differences; umount kernel; test ! -s differences || { cat differences; false; }");
}

TEST_F(MountTest, ReturnsAlsoIfItsCallerHasClosedAllItsDescriptors) {
    in_dir(
        "timeout 60 bash -c 'exec $0 mount web1/sda1 mnt <&- >&- 2>&-' $imgfs && ls mnt/etc && "
        "$imgfs umount mnt");
}

TEST_F(MountTest, SigtermCommitsAndUnmounts) {
    in_dir(
        "$imgfs mount --foreground web1/sda1 mnt & pid=$!; "
        "for i in $(seq 200); do grep -q \" $PWD/mnt \" /proc/mounts && break; sleep 0.1; done; "
        "echo kept > mnt/kept; kill -TERM $pid; wait $pid; $imgfs cat web1/sda1 /kept | grep kept");
}

// Promises 2 and 3 of the delta: kill -9 at any moment loses nothing that was synced.
TEST_F(MountTest, KilledUnderWritesEverythingSyncedIsThereAndTheFilesAreClean) {
    for (const auto* seconds : {"0.3", "0.8", "1.5"}) {
        SCOPED_TRACE(seconds);
        in_dir(
            "$imgfs mount web1/sda1 mnt && rm -rf mnt/busy mnt/churn && mkdir mnt/busy; : > acked; "
            "(for i in $(seq 1000); do head -c 9000 /dev/urandom > mnt/busy/f$i && "
            "sync mnt/busy/f$i mnt/busy && sha256sum mnt/busy/f$i >> acked || break; done) "
            "2>/dev/null & "
            "(while cp -a tree/etc mnt/churn && rm -r mnt/churn; do :; done) 2>/dev/null & "
            "for i in $(seq 600); do test -s acked && break; sleep 0.1; done; "
            "sleep " +
            std::string(seconds) + "; kill_daemon; wait");
        in_dir(
            "$imgfs mount web1/sda1 mnt && test -s acked && sha256sum --quiet -c acked && "
            "$imgfs umount mnt");
        expect_restores_clean();
    }
}

}  // namespace
}  // namespace imgfs
