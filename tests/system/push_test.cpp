// The program imgsync as people run it: here, as an ordinary user, and through a real ssh.
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/support/shell.h"
#include "tests/support/ssh_server.h"
#include "tests/support/tree_listing.h"

namespace imgfs {
namespace {

class PushProgramTest : public ::testing::Test {
  protected:
    PushProgramTest() { in_directory("mkdir source"); }

    std::string script(const std::string& lines) const {
        return "set -e; cd " + shell_quoted(directory_.path().string()) +
               "; imgsync=" + shell_quoted(IMGSYNC_PROGRAM) + "; " + lines;
    }
    std::string in_directory(const std::string& lines) const { return run(script(lines)); }
    ShellResult try_in_directory(const std::string& lines) const { return shell(script(lines)); }
    void expect_equal() const { expect_equal_trees(directory_ / "source", directory_ / "target"); }

    /// Waits until a shell condition holds.
    void wait_until(const std::string& condition) const {
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
        while (shell(script(condition)).status != 0) {
            ASSERT_LT(std::chrono::steady_clock::now(), deadline) << condition;
            ::usleep(20'000);
        }
    }

    TempDir directory_;
};

TEST_F(PushProgramTest, SumsUpWhatItDid) {
    in_directory("echo 1 > source/a; ln source/a source/b; mkdir target; touch target/x");
    const auto text = in_directory("$imgsync push -v --delete source target");
    EXPECT_NE(text.find("new\ta\n"), std::string::npos) << text;
    EXPECT_NE(text.find("linked\tb\n"), std::string::npos) << text;
    EXPECT_NE(text.find("deleted\tx\n"), std::string::npos) << text;
    EXPECT_NE(text.find("pushed 2 names"), std::string::npos) << text;
    expect_equal();
}

TEST_F(PushProgramTest, PrintsOneJsonDocument) {
    in_directory("head -c 100000 /dev/urandom > source/a");
    const auto document =
        nlohmann::json::parse(in_directory("$imgsync push --json -n source target 2>/dev/null"));
    EXPECT_EQ(document.at("schema"), 1);
    EXPECT_EQ(document.at("created"), 2);
    EXPECT_EQ(document.at("dry_run"), true);
    const auto failed = try_in_directory("$imgsync push --json nowhere target 2>/dev/null");
    EXPECT_EQ(failed.status, 1);
    EXPECT_TRUE(nlohmann::json::parse(failed.output).contains("error"));
}

TEST_F(PushProgramTest, RefusesWrongCommandLines) {
    EXPECT_EQ(try_in_directory("$imgsync push source").status, 2);
    EXPECT_EQ(try_in_directory("$imgsync push source a b").status, 2);
    EXPECT_EQ(try_in_directory("$imgsync push --no-such source target").status, 2);
    EXPECT_EQ(try_in_directory("$imgsync push source -oProxyCommand=x:target").status, 2);
    EXPECT_EQ(try_in_directory("$imgsync push -x --cross-file-systems source target").status, 2);
    EXPECT_EQ(try_in_directory("$imgsync push --delete source/ target >/dev/null").status, 0);
}

TEST_F(PushProgramTest, TakesQuotesInTheSshCommandAndAddressesInBrackets) {
    in_directory(
        R"(printf '%s\n' '#!/bin/sh' "printf '%s,' \"\$@\" > $PWD/words" > ssh; chmod +x ssh)");
    for (const auto* host : {"anna@[::1]", "[::1]"}) {
        const auto result = try_in_directory("$imgsync push -e \"$PWD/ssh -o 'A B'\" source '" +
                                             std::string(host) + ":a b'");
        EXPECT_EQ(result.status, 12) << result.output;
        EXPECT_EQ(in_directory("cat words"),
                  "-o,A B," + std::string(host[0] == '[' ? "" : "anna@") + "::1,imgsync,serve,");
    }
}

TEST_F(PushProgramTest, AnOrdinaryUserKeepsWhatOnlyRootMaySet) {
    in_directory(
        "echo 1 > source/mine; echo 2 > source/foreign; echo 3 > source/secret; mkfifo "
        "source/fifo; mkdir -m 555 source/locked; touch source/locked/x; mknod source/dev c "
        "1 3; chown -R 1000:1000 source; chown 0:0 source/foreign; chmod 600 source/secret; "
        "chown 0 source/secret; mkdir target; chown 1000:1000 . target; cp $imgsync imgsync");
    const auto user = "setpriv --reuid 1000 --regid 1000 --clear-groups ";
    const auto result =
        try_in_directory(std::string(user) + "./imgsync push --delete source target");
    EXPECT_EQ(result.status, 23) << result.output;
    EXPECT_NE(result.output.find("source/secret"), std::string::npos) << result.output;
    EXPECT_NE(result.output.find("only root"), std::string::npos) << result.output;
    EXPECT_EQ(in_directory("cd target; ls -A . locked; stat -c '%a %u' foreign locked"),
              ".:\nfifo\nforeign\nlocked\nmine\n\nlocked:\nx\n644 1000\n555 1000\n");
    const auto again = try_in_directory(
        "chmod 755 source/locked; touch source/locked/y; rm "
        "source/secret; " +
        std::string(user) + "./imgsync push source target");
    EXPECT_EQ(again.status, 0) << again.output;
}

class PushThroughSshTest : public PushProgramTest {
  protected:
    std::string push(const std::string& options = "") const {
        return "$imgsync push --delete -e " + shell_quoted(server_.ssh_command()) +
               " --remote-path $imgsync " + options +
               " source root@127.0.0.1:" + (directory_ / "target").string();
    }

    /// Stands for ssh, but lets only some bytes pass and then nothing, so that a push stands still
    /// in the middle; writes its ssh's process id to `ssh.pid`.
    std::string stalling_ssh() const {
        return "python3 " + (directory_ / "stall.py").string() + " " + server_.ssh_command();
    }
    void make_stalling_push() {
        in_directory(
            "head -c 2000000 /dev/urandom > source/big; echo 1 > source/a; echo 2 > source/z; "
            "cp -a source target; head -c 2000000 /dev/urandom > source/big; echo 3 > source/z; "
            "touch -d 2001-01-01 target/z; sha256sum target/* > before");
        in_directory(R"(cat > stall.py <<'END'
import os, select, subprocess, sys
ssh = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE)
left = 1000000
while left > 0:
    select.select([0], [], [])  # ssh makes its standard output non-blocking, and ours with it
    data = os.read(0, min(left, 65536))
    if not data: break
    ssh.stdin.write(data); ssh.stdin.flush()
    left -= len(data)
open('ssh.pid.new', 'w').write(str(ssh.pid)); os.rename('ssh.pid.new', 'ssh.pid')
sys.exit(ssh.wait() % 256)
END
printf '%s\n' '#!/bin/sh' "echo \$\$ > $PWD/serve.pid" "exec $imgsync \"\$@\"" > far; chmod +x far)");
    }
    /// Runs a push that stands still after 1 MB and kills the process meanwhile; its result.
    ShellResult push_killing(const std::string& pid_file) {
        ShellResult result;
        std::thread pushing([&] {
            result = try_in_directory("$imgsync push --delete -e " + shell_quoted(stalling_ssh()) +
                                      " --remote-path $PWD/far source root@127.0.0.1:$PWD/target");
        });
        wait_until("test -e ssh.pid && test -n \"$(find target -name '.imgsync.*' -size +200k)\"");
        in_directory("kill -9 $(cat " + pid_file + ")");
        pushing.join();
        return result;
    }

    const SshServer server_;
};

TEST_F(PushThroughSshTest, MakesTheFarTreeEqual) {
    in_directory(
        "cd source; mkdir -p d/e; head -c 3000000 /dev/urandom > d/big; truncate -s 5M holes; "
        "for n in {1..500}; do echo $n > d/e/$n; done; ln d/e/1 link; ln -s x sym");
    in_directory(push());
    expect_equal();
    in_directory(
        "printf change | dd of=source/d/big bs=1 seek=1000000 conv=notrunc status=none; rm "
        "source/d/e/7");
    const auto document = nlohmann::json::parse(in_directory(push("--json")));
    EXPECT_LT(document.at("bytes_sent"), 60'000);
    expect_equal();
}

TEST_F(PushThroughSshTest, AKilledSshLeavesOldOrNewFilesAndThePushCanBeRepeated) {
    make_stalling_push();
    const auto result = push_killing("ssh.pid");
    EXPECT_EQ(result.status, 12) << result.output;
    wait_until("test -z \"$(find target -name '.imgsync.*')\"");
    EXPECT_EQ(in_directory("sha256sum target/big | diff - <(grep big before) && echo old"),
              "old\n");
    in_directory(push());
    expect_equal();
}

TEST_F(PushThroughSshTest, AKilledFarEndLeavesOldOrNewFilesAndThePushCanBeRepeated) {
    make_stalling_push();
    const auto result = push_killing("serve.pid");
    EXPECT_EQ(result.status, 12) << result.output;
    EXPECT_EQ(in_directory("sha256sum target/big | diff - <(grep big before) && echo old"),
              "old\n");
    in_directory(push());
    expect_equal();
}

TEST_F(PushThroughSshTest, SaysWhatIsMissingAtTheFarEnd) {
    const auto ssh = shell_quoted(server_.ssh_command());
    const auto missing = try_in_directory("$imgsync push -e " + ssh +
                                          " --remote-path /no/imgsync source root@127.0.0.1:x");
    EXPECT_EQ(missing.status, 12);
    EXPECT_NE(missing.output.find("--remote-path"), std::string::npos) << missing.output;
    const auto other = try_in_directory("$imgsync push -e " + ssh +
                                        " --remote-path 'echo hello;' source root@127.0.0.1:x");
    EXPECT_EQ(other.status, 12) << other.output;
    const auto refused = try_in_directory(
        "$imgsync push -e " + ssh + " --remote-path $imgsync source root@127.0.0.1:/no/such/x");
    EXPECT_EQ(refused.status, 1) << refused.output;
    EXPECT_NE(refused.output.find("/no/such/x"), std::string::npos) << refused.output;
}

}  // namespace
}  // namespace imgfs
