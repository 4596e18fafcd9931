// Mounts of those who are not root.
#include <grp.h>

#include "tests/fs/mount/daemon_fixture.h"

namespace imgfs {
namespace {

constexpr uid_t kNobody = 65534;

void become_nobody(const std::filesystem::path& session) {
    ::setenv("XDG_RUNTIME_DIR", session.c_str(), 1);
    if (::setgroups(0, nullptr) != 0 || ::setgid(kNobody) != 0 || ::setuid(kNobody) != 0) {
        fail_errno("setuid");
    }
}

/// Ordinary users may open /dev/fuse wherever udev made it; where nothing did, it is root's.
class OrdinaryUserTest : public DaemonTest {
  protected:
    OrdinaryUserTest() {
        std::filesystem::create_directory(session());
        run("chmod 666 /dev/fuse; chown -R nobody " + directory_.path().string());
    }
    ~OrdinaryUserTest() override { run("chmod " + fuse_mode_ + " /dev/fuse"); }

    std::filesystem::path session() const { return directory_ / "session"; }
    /// in_child(), as an ordinary user.
    std::string as_user(const std::function<void()>& action) {
        return in_child([&] {
            become_nobody(session());
            action();
        });
    }

  private:
    const std::string fuse_mode_ = run("stat -c %a /dev/fuse | tr -d '\\n'");
};

TEST_F(OrdinaryUserTest, MayDoEverythingInTheirOwnMount) {
    EXPECT_EQ(as_user([&] { run_mount(job()); }), "");
    const auto as_nobody = [&](const std::string& script) {
        return run("runuser -u nobody -- sh -c " +
                   shell_quoted("cd " + mountpoint() + " && " + script));
    };
    as_nobody("echo x > file; chown 0:5 file; chmod 4000 file; cat file >/dev/null");
    EXPECT_EQ(as_nobody("stat -c '%a %u:%g' file"), "4000 0:5\n");
    EXPECT_NE(shell("ls " + mountpoint()).status, 0);  // not even root is let in
    EXPECT_EQ(run("stat -c '%a %U' " + (session() / "imgfs").string()), "700 nobody\n");
    EXPECT_EQ(as_user([&] {
                  const auto record = find_mount(mountpoint());
                  std::cout << request(record, "status").dump() << std::flush;
                  unmount(record);
              }),
              "{\"failure\":\"\",\"files\":2,\"ok\":true}");
    EXPECT_FALSE(mounted_at(mountpoint()));
    EXPECT_EQ(commits(), "commit\ncommit\n");
}

TEST_F(OrdinaryUserTest, LearnsThatTheirMountIsInUse) {
    EXPECT_EQ(as_user([&] {
                  run_mount(job());
                  const Fd open(::open(mountpoint().c_str(), O_RDONLY | O_CLOEXEC));
                  unmount(find_mount(mountpoint()));
              }),
              "error: " + mountpoint() + ": in use; what uses it: fuser -vm " + mountpoint());
    EXPECT_EQ(as_user([&] { unmount(find_mount(mountpoint())); }), "");
}

TEST_F(OrdinaryUserTest, FindsNoDeadMountAfterTheDaemonWasKilled) {
    EXPECT_EQ(as_user([&] {
                  run_mount(job());
                  ::kill(find_mount(mountpoint()).pid, SIGKILL);
                  ::wait(nullptr);
                  std::cout << find_mount(mountpoint()).error << std::flush;
              }),
              "the daemon was killed by signal 9; what was not committed is lost");
    EXPECT_FALSE(mounted_at(mountpoint()));
}

// Here, since looking at all mounts forgets what other tests have on root's record.
TEST_F(OrdinaryUserTest, LearnsOnceOfAFailureNobodyWaitedFor) {
    failure_ = "web1/imgfs/sda1: No space left on device";
    EXPECT_EQ(as_user([&] {
                  run_mount(job());
                  run("fusermount3 -u " + mountpoint());
                  wait_for_supervisor();
                  for (const auto& record : known_mounts()) {
                      std::cout << record.error << "\n" << std::flush;
                  }
                  EXPECT_TRUE(known_mounts().empty());
              }),
              failure_ + "\n");
}

TEST_F(OrdinaryUserTest, SeesTheModeThatAnAclGives) {
    EXPECT_EQ(as_user([&] {
                  run_mount(job());
                  std::cout << run("cd " + mountpoint() +
                                   " && touch file && chmod 600 file && stat -c %a file && "
                                   "setfacl -m u:5:rw file && stat -c %a file")
                            << std::flush;
                  unmount(find_mount(mountpoint()));
              }),
              "600\n660\n");
}

TEST_F(OrdinaryUserTest, RefusesARuntimeFolderOfSomebodyElse) {
    std::filesystem::create_symlink("/tmp", session() / "imgfs");
    const auto output = as_user([] { known_mounts(); });
    EXPECT_NE(output.find("must be a directory that only you can enter"), std::string::npos)
        << output;
}

}  // namespace
}  // namespace imgfs
