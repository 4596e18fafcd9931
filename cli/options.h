// One table describes a program: its commands, their options and their text. Parsing, --help and
// the man page are all made from it.
#pragma once

#include <boost/program_options/options_description.hpp>
#include <boost/program_options/variables_map.hpp>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace imgfs {

using OptionTable = boost::program_options::options_description;

/// A command line as it was parsed.
struct Arguments {
    boost::program_options::variables_map options;
    std::vector<std::string> operands;

    bool has(const std::string& option) const { return options.count(option) != 0; }
    /// Of an option with a value; `fallback` if it wasn't given.
    std::string value(const std::string& option, const std::string& fallback = {}) const;
    std::vector<std::string> values(const std::string& option) const;
};

struct Command {
    std::string_view name;
    std::string_view operands;  ///< as shown: "IMAGE PATH..."
    size_t least_operands;
    size_t most_operands;
    std::string_view summary;      ///< one line, no full stop
    std::string_view description;  ///< for --help and the man page: paragraphs, blank lines between
    void (*add_options)(OptionTable& table);  ///< may be null
    int (*run)(const Arguments& arguments);   ///< returns the exit status
};

struct Program {
    std::string_view name;
    std::string_view summary;
    std::string_view description;
    std::span<const Command> commands;
    std::string_view exit_statuses;  ///< for the man page, a line each: "0 done"
};

constexpr size_t kAnyNumber = static_cast<size_t>(-1);

/// Exit statuses that both programs share.
enum ExitStatus : int {
    done = 0,
    failed = 1,
    usage = 2,
    damage = 3,
    in_use = 4,
    connection_lost = 12,  ///< as rsync
    interrupted = 130
};

/// A wrong command line: exit status 2, and where to read how it is right.
struct UsageError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// Finds the command, parses, runs it, and turns exceptions into one line on stderr (with --json:
/// into a document on stdout) and an exit status. Knows --help, --version, `help COMMAND`, and
/// --man, which prints the man page.
int run_program(const Program& program, int argc, char** argv);

}  // namespace imgfs
