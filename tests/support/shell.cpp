#include "tests/support/shell.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>

#include "fs/base/error.h"

namespace imgfs {

ShellResult shell(const std::string& command) {
    const auto line = "bash -o pipefail -c " + shell_quoted("exec 2>&1 </dev/null; " + command);
    FILE* pipe = ::popen(line.c_str(), "re");
    if (pipe == nullptr) {
        fail_errno("popen");
    }
    ShellResult result;
    std::array<char, 4096> piece{};
    for (size_t count = 0; (count = ::fread(piece.data(), 1, piece.size(), pipe)) > 0;) {
        result.output.append(piece.data(), count);
    }
    const int status = ::pclose(pipe);
    result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return result;
}

std::string run(const std::string& command) {
    const auto result = shell(command);
    EXPECT_EQ(result.status, 0) << command << "\n" << result.output;
    return result.output;
}

std::string shell_quoted(const std::string& word) {
    std::string text = "'";
    for (const char letter : word) {
        text += letter == '\'' ? std::string("'\\''") : std::string(1, letter);
    }
    return text + "'";
}

}  // namespace imgfs
