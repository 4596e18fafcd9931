// A program that runs while a test goes on.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <string>

namespace imgfs {

class Child {
  public:
    explicit Child(const std::string& command) {
        const std::string line = "exec " + command + " >/dev/null 2>&1";
        const std::array<char*, 4> words{const_cast<char*>("sh"), const_cast<char*>("-c"),
                                         const_cast<char*>(line.c_str()), nullptr};
        EXPECT_EQ(::posix_spawn(&pid_, "/bin/sh", nullptr, nullptr, words.data(), environ), 0);
    }
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    ~Child() { wait(); }

    void signal(int number) const { ::kill(pid_, number); }
    /// How it ended, as a shell says it.
    int wait() {
        if (pid_ != 0) {
            int status = 0;
            ::waitpid(pid_, &status, 0);
            status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            pid_ = 0;
        }
        return status_;
    }

  private:
    pid_t pid_ = 0;
    int status_ = 0;
};

}  // namespace imgfs
