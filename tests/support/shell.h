// Real commands, run as a user would.
#pragma once

#include <string>

namespace imgfs {

struct ShellResult {
    int status = 0;      ///< exit status; 128 + signal if killed
    std::string output;  ///< stdout and stderr together
};

/// Runs `command` by bash with pipefail and no standard input.
ShellResult shell(const std::string& command);

/// As shell(); a test failure (with the output) unless it exits with 0. Returns the output.
std::string run(const std::string& command);

/// The word in single quotes for a shell.
std::string shell_quoted(const std::string& word);

}  // namespace imgfs
