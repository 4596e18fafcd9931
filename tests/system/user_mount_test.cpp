// Mounts by those who are not root.
#include <filesystem>

#include "tests/support/real_image.h"

namespace imgfs {
namespace {

/// The image is an ordinary user's, who may open /dev/fuse as wherever udev made it, and has the
/// program where it can be reached.
class UserMountTest : public RealImageTest {
  protected:
    UserMountTest() {
        in_dir("mkdir run && cp $imgfs imgfs && chown -R nobody . && chmod 666 /dev/fuse");
    }
    ~UserMountTest() override {
        as_user("$imgfs umount mnt");
        shell("chmod " + fuse_mode_ + " /dev/fuse");
    }

    ShellResult as_user(const std::string& command) const {
        return try_in_dir(
            "export XDG_RUNTIME_DIR=$PWD/run HOME=$PWD imgfs=$PWD/imgfs; "
            "export -f kill_daemon; "
            "runuser -u nobody -- bash -o pipefail -c " +
            shell_quoted(command));
    }
    std::string user_does(const std::string& command) const {
        const auto result = as_user(command);
        EXPECT_EQ(result.status, 0) << command << "\n" << result.output;
        return result.output;
    }

  private:
    const std::string fuse_mode_ = run("stat -c %a /dev/fuse | tr -d '\\n'");
};

TEST_F(UserMountTest, EverythingIsPermittedAndKeptAsItWasSet) {
    user_does(
        "$imgfs mount web1/sda1 mnt && cat mnt/etc/fstab && sed -i s/old/new/ mnt/etc/fstab && "
        "chown 0:5 mnt/etc/f1.conf && chmod 4711 mnt/etc/f1.conf && "
        "touch -d '2001-02-03 04:05:06.789' mnt/etc/f6.conf && tar c mnt/bin >/dev/null && "
        "rm -r 'mnt/Grüße 日本' && mkfifo mnt/pipe && $imgfs sync mnt && $imgfs umount mnt");
    expect_restores_clean();
    in_dir("mkdir kernel && mount -o loop,ro disk kernel");
    EXPECT_EQ(in_dir("cd kernel && stat -c '%n %a %u:%g' etc/f1.conf etc/fstab pipe && "
                     "stat -c %y etc/f6.conf && cat etc/fstab; cd .. && umount kernel"),
              "etc/f1.conf 4711 0:5\netc/fstab 644 0:0\npipe 644 65534:65534\n"
              "2001-02-03 04:05:06.789000000 +0000\nUUID=new / ext4 defaults 0 1\n");
}

TEST_F(UserMountTest, NobodyElseEntersNotEvenRoot) {
    user_does("$imgfs mount web1/sda1 mnt");
    EXPECT_NE(try_in_dir("ls mnt/etc").status, 0);
    user_does("ls mnt/etc && $imgfs umount mnt");
}

TEST_F(UserMountTest, AKilledDaemonLeavesNoDeadMountAndStatusSaysWhy) {
    user_does(
        "$imgfs mount web1/sda1 mnt && echo 1 > mnt/synced && $imgfs sync mnt && "
        "kill_daemon && ls mnt");
    EXPECT_NE(user_does("$imgfs status mnt").find("killed by signal 9"), std::string::npos);
    user_does("$imgfs mount web1/sda1 mnt && cat mnt/synced && $imgfs umount mnt");
}

// Here, since root's mounts are also those of other tests.
TEST_F(UserMountTest, SeveralMountsAreUnmountedAtOnce) {
    user_does(
        "cp -r web1 'web 2' && mkdir 'mnt 2' && $imgfs mount web1/sda1 mnt && "
        "$imgfs mount 'web 2/sda1' 'mnt 2' && echo one > mnt/new && echo two > 'mnt 2/new' && "
        "$imgfs status 'mnt 2' && $imgfs umount --all && ! grep \" $PWD/\" /proc/mounts && "
        "$imgfs cat web1/sda1 /new | grep one && $imgfs cat 'web 2/sda1' /new | grep two");
}

TEST_F(UserMountTest, ReadingNeedsNoMountAndNoRights) {
    in_dir("chown -R root web1 && chmod -R a+rX,go-w web1");
    user_does(
        "$imgfs info web1/sda1 && $imgfs ls -l web1/sda1 /etc && "
        "$imgfs cat web1/sda1 /etc/fstab && $imgfs cp -r web1/sda1 /bin run/ && "
        "cmp run/bin/big tree/bin/big");
    EXPECT_NE(user_does("$imgfs mount web1/sda1 mnt && $imgfs status mnt && $imgfs umount mnt")
                  .find("read-only"),
              std::string::npos);
}

}  // namespace
}  // namespace imgfs
