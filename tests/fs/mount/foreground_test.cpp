// Mounts in the foreground.
#include "tests/fs/mount/daemon_fixture.h"

namespace imgfs {
namespace {

using ForegroundTest = DaemonTest;

TEST_F(ForegroundTest, ReturnsWhenTheMountEnds) {
    EXPECT_EQ(in_foreground([&] { run("umount " + mountpoint()); }), "ended");
    EXPECT_EQ(commits(), "commit\n");
    failure_ = "web1/imgfs/sda1: No space left on device";
    EXPECT_EQ(in_foreground([&] { run("umount " + mountpoint()); }), "error: " + failure_);
}

TEST_F(ForegroundTest, AKilledDaemonLeavesNoDeadMount) {
    EXPECT_EQ(
        in_foreground([&] { ::kill(find_mount(mountpoint()).pid, SIGKILL); }),
        "error: " + mountpoint() + ": the daemon died of signal 9; what was not committed is lost");
    EXPECT_FALSE(mounted_at(mountpoint()));
    EXPECT_NE(find_mount(mountpoint()).error.find("killed by signal 9"), std::string::npos);
}

TEST_F(ForegroundTest, SignalsReachTheDaemon) {
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
        EXPECT_EQ(in_foreground([&] { ::kill(foreground_, signal); }), "ended");
    }
    EXPECT_EQ(commits(), "commit\ncommit\ncommit\n");
}

TEST_F(ForegroundTest, ADaemonWhoseParentIsKilledUnmountsAndCommits) {
    EXPECT_EQ(in_foreground([&] { ::kill(foreground_, SIGKILL); }), "");
    EXPECT_FALSE(mounted_at(mountpoint()));
    EXPECT_EQ(commits(), "commit\n");
}

}  // namespace
}  // namespace imgfs
