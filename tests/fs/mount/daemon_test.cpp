#include "fs/mount/daemon.h"

#include "tests/fs/mount/daemon_fixture.h"

namespace imgfs {
namespace {

TEST_F(DaemonTest, ReturnsWhenTheMountAnswersAndServesUntilUnmounted) {
    run_mount(job());
    run("echo text > " + in_mount("file"));
    const auto record = find_mount(mountpoint() + "/");
    EXPECT_TRUE(record.alive);
    EXPECT_EQ(record.mountpoint, mountpoint());
    EXPECT_EQ(record.image, "web1/sda1");
    EXPECT_EQ(record.delta_folder, "web1/imgfs/sda1");
    EXPECT_FALSE(record.read_only);
    EXPECT_EQ(request(record, "status").at("files"), 2);
    EXPECT_EQ(commits(),
              "cat: " + (directory_ / "commits").string() + ": No such file or directory\n");
    request(record, "sync");
    EXPECT_EQ(commits(), "commit\n");
    unmount(record);
    EXPECT_FALSE(mounted_at(mountpoint()));
    EXPECT_EQ(commits(), "commit\ncommit\ncommit\n");  // before unmounting, and the last one
    std::string message;
    EXPECT_EQ(error_code_of([&] { find_mount(mountpoint()); }, message).value(), ENOENT);
}

TEST_F(DaemonTest, CommitsAfterAnOrdinaryUmount) {
    run_mount(job());
    run("umount " + mountpoint());
    wait_for_supervisor();
    EXPECT_EQ(commits(), "commit\n");
}

TEST_F(DaemonTest, AMountInUseStaysAndSaysSo) {
    run_mount(job());
    std::string message;
    {
        const Fd open(::open(mountpoint().c_str(), O_RDONLY | O_CLOEXEC));
        const auto code = error_code_of([&] { unmount(find_mount(mountpoint())); }, message);
        EXPECT_EQ(code.value(), EBUSY);
        EXPECT_NE(message.find(mountpoint() + ": in use"), std::string::npos) << message;
    }
    EXPECT_EQ(commits(), "commit\n");
    run("touch " + in_mount("file"));
    unmount(find_mount(mountpoint()));
}

TEST_F(DaemonTest, TheLastCommitsFailureIsReportedAndTheMountIsGone) {
    failure_ = "web1/imgfs/sda1: No space left on device";
    run_mount(job());
    std::string message;
    error_code_of([&] { unmount(find_mount(mountpoint())); }, message);
    EXPECT_TRUE(message.starts_with(failure_)) << message;
    EXPECT_FALSE(mounted_at(mountpoint()));
}

TEST_F(DaemonTest, TheLastCommitIsNotInterruptedByMoreSignals) {
    run_mount(job([] {
        for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
            ::raise(signal);
        }
    }));
    ::kill(find_mount(mountpoint()).pid, SIGTERM);
    wait_for_supervisor();
    std::string message;
    EXPECT_EQ(error_code_of([&] { find_mount(mountpoint()); }, message).value(), ENOENT)
        << "it ended well, so there is no record left";
}

TEST_F(DaemonTest, ADaemonThatStillCommitsLeavesTheNextMountAtItsPlaceAlone) {
    for (const std::string failure : {"", "web1/imgfs/sda1: No space left on device"}) {
        SCOPED_TRACE(failure);
        run("rm -f " + go() + "; mkfifo " + go());
        run_mount(job([this, failure] {
            std::ifstream(go()).get();  // until somebody writes to it
            if (!failure.empty()) {
                fail(EIO, failure);
            }
        }));
        const auto first = find_mount(mountpoint());
        unmount_path(mountpoint(), Unmount::if_unused);
        run_mount(job());
        run("echo > " + go());
        wait_for_supervisor();
        const auto record = find_mount(mountpoint());
        EXPECT_TRUE(record.alive);
        EXPECT_NE(record.pid, first.pid);
        EXPECT_EQ(request(record, "status").at("files"), 1);
        std::string message;
        EXPECT_EQ(error_code_of([&] { unmount(first); }, message).value(),
                  failure.empty() ? 0 : EIO)
            << message;
        EXPECT_TRUE(message.starts_with(failure)) << message;
        EXPECT_TRUE(find_mount(mountpoint()).alive);
        unmount(record);
    }
}

TEST_F(DaemonTest, StatusSaysThatNothingCanBeWrittenAnyMore) {
    run_mount(job());
    EXPECT_EQ(request(find_mount(mountpoint()), "status").at("failure"), "");
    unmount(find_mount(mountpoint()));
    failure_ = "web1/imgfs/sda1: Input/output error";
    run_mount(job());
    const auto record = find_mount(mountpoint());
    std::string message;
    error_code_of([&] { request(record, "sync"); }, message);
    EXPECT_EQ(request(record, "status").at("failure"), failure_);
}

TEST_F(DaemonTest, AKilledDaemonLeavesNoDeadMountButItsReason) {
    run_mount(job());
    ::kill(find_mount(mountpoint()).pid, SIGKILL);
    wait_for_supervisor();
    EXPECT_FALSE(mounted_at(mountpoint()));
    const auto record = find_mount(mountpoint());
    EXPECT_FALSE(record.alive);
    EXPECT_TRUE(record.ended);
    EXPECT_NE(record.error.find("killed by signal 9"), std::string::npos) << record.error;
    std::string message;
    EXPECT_EQ(error_code_of([&] { unmount(record); }, message).value(), EIO);
    EXPECT_TRUE(message.starts_with(record.error)) << message;
    run_mount(job());  // what is left doesn't stand in the way
    EXPECT_TRUE(find_mount(mountpoint()).alive);
}

TEST_F(DaemonTest, AnUnsupervisedDeadMountIsRemovedByUnmount) {
    run_mount(job());
    const auto record = find_mount(mountpoint());
    const auto supervisor = run("ps -o ppid= -p " + std::to_string(record.pid));
    ::kill(std::stoi(supervisor), SIGKILL);
    wait_for_supervisor();
    ::kill(record.pid, SIGKILL);
    while (find_mount(mountpoint()).alive) {
    }
    std::string message;
    EXPECT_EQ(error_code_of([&] { run_mount(job()); }, message).value(), ENOTCONN);
    EXPECT_NE(message.find("imgfs umount"), std::string::npos) << message;
    unmount(find_mount(mountpoint()));
    EXPECT_FALSE(mounted_at(mountpoint()));
}

TEST_F(DaemonTest, StopsOnASignalEvenIfAFileIsOpen) {
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
        run_mount(job());
        const Fd open(::open(in_mount("file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
        ::kill(find_mount(mountpoint()).pid, signal);
        wait_for_supervisor();
        EXPECT_FALSE(mounted_at(mountpoint()));
    }
    EXPECT_EQ(commits(), "commit\ncommit\ncommit\n");
}

TEST_F(DaemonTest, WhatOpeningThrowsReachesTheCaller) {
    auto failing = job();
    failing.open = [](const auto&) { fail(EUCLEAN, "sda1.gz: damaged"); };
    std::string message;
    EXPECT_EQ(error_code_of([&] { run_mount(failing); }, message).value(), EUCLEAN);
    EXPECT_EQ(message, "sda1.gz: damaged");
    failing.open = [](const auto&) { ::kill(::getpid(), SIGKILL); };
    EXPECT_EQ(error_code_of([&] { run_mount(failing); }, message).value(), EIO);
    EXPECT_NE(message.find("died before the mount answered"), std::string::npos) << message;
}

TEST_F(DaemonTest, ShowsProgressToTheCallerAndThenHoldsNothingOfIt) {
    auto slow = job();
    slow.open = [inner = slow.open](const auto& serve_it) {
        std::cerr << "indexing\n" << std::flush;
        inner(serve_it);
    };
    // The output ends, although the daemon lives on.
    EXPECT_EQ(in_child([&] { run_mount(slow); }), "indexing\n");
    EXPECT_TRUE(find_mount(mountpoint()).alive);
    unmount(find_mount(mountpoint()));
}

TEST_F(DaemonTest, RefusesASecondMountAtTheSamePlace) {
    run_mount(job());
    std::string message;
    EXPECT_EQ(error_code_of([&] { run_mount(job()); }, message).value(), EBUSY);
    EXPECT_NE(message.find("memory is mounted there already"), std::string::npos) << message;
    EXPECT_TRUE(find_mount(mountpoint()).alive);
}

}  // namespace
}  // namespace imgfs
