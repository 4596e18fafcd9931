#include "tests/support/real_image.h"

#include <unistd.h>

namespace imgfs {
namespace {

constexpr const char* kKillDaemon =
    "kill_daemon() {\n"
    "kill -9 $($imgfs status --json mnt | python3 -c 'import json, sys; "
    "print(json.load(sys.stdin)[\"mounts\"][0][\"pid\"])')\n"
    "for i in $(seq 200); do\n"
    "grep -q \" $PWD/mnt \" /proc/mounts || return 0\n"
    "sleep 0.1\n"
    "done\n"
    "echo a dead mount is left\n"
    "return 1\n"
    "}\n";

/// Made by the first test of the process that wants it.
const TempDir& shared_image() {
    static const TempDir dir;
    static const bool made = [] {
        make_real_tree((dir / "tree").string());
        make_real_image((dir / "tree").string(), (dir / "web1").string(), "-t ext4");
        return true;
    }();
    EXPECT_TRUE(made);
    return dir;
}

}  // namespace

void make_real_tree(const std::string& tree) {
    run("mkdir -p " + tree + " && cd " + tree +
        " && mkdir -p etc bin 'Grüße 日本' && for i in $(seq 60); do echo line $i of file > "
        "etc/f$i.conf; done && head -c 3000000 /dev/urandom > bin/big && seq 200000 > bin/numbers"
        " && ln bin/big bin/hard && ln -s ../etc/f1.conf bin/link && truncate -s 20M sparse"
        " && echo end >> sparse && mkfifo fifo && mknod null c 1 3 && chmod 4755 bin/numbers"
        " && setfattr -n user.colour -v blue etc/f2.conf && setfacl -m u:1234:rw etc/f3.conf"
        " && chown 1000:2000 etc/f4.conf && touch -d '2019-05-06 07:08:09.123456789' etc/f5.conf"
        " && echo 'UUID=old / ext4 defaults 0 1' > etc/fstab");
}

void make_real_image(const std::string& tree, const std::string& folder,
                     const std::string& options) {
    run("mkdir -p " + folder + " && cd " + folder + " && truncate -s 96M part && mke2fs -q " +
        options + " -d " + tree +
        " part && partclone.extfs -L /dev/null -c -s part -o - 2>/dev/null | "
        "pigz --fast -b 1024 --rsyncable | split -b 1500000 - sda1.ext4-ptcl-img.gz. && rm part");
}

RealImageTest::RealImageTest() {
    run("cp -a " + (shared_image() / "tree").string() + " " + (shared_image() / "web1").string() +
        " " + dir_.path().string() + " && mkdir " + (dir_ / "mnt").string());
}

RealImageTest::~RealImageTest() {
    // What a failed test left mounted would outlive the directory.
    shell(std::string(IMGFS_PROGRAM) + " umount " + (dir_ / "mnt").string());
    shell("awk '{print $2}' /proc/mounts | grep -F " + dir_.path().string() +
          "/ | tac | xargs -r -n 1 umount");
}

ShellResult RealImageTest::try_in_dir(const std::string& command) const {
    return shell("cd " + dir_.path().string() +
                 " && imgfs=" IMGFS_PROGRAM " imgsync=" IMGSYNC_PROGRAM "\n" + kKillDaemon +
                 command);
}

std::string RealImageTest::in_dir(const std::string& command) const {
    const auto result = try_in_dir(command);
    EXPECT_EQ(result.status, 0) << command << "\n" << result.output;
    return result.output;
}

std::string RealImageTest::image_hash() const {
    return in_dir("cat web1/*.gz.a? | sha256sum");
}

void RealImageTest::expect_restores_clean() const {
    in_dir("$imgfs restore --overwrite web1/sda1 disk && e2fsck -fn disk");
}

}  // namespace imgfs
