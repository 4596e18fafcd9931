#include "cli/options.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <cerrno>
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/man_page.h"
#include "fs/base/error.h"
#include "fs/base/text.h"

namespace po = boost::program_options;

namespace imgfs {
namespace {

Arguments parse(const Command& command, const std::vector<std::string>& words) {
    OptionTable all;
    all.add(option_table(command));
    all.add_options()("operand", po::value<std::vector<std::string>>());
    po::positional_options_description positions;
    positions.add("operand", -1);

    Arguments arguments;
    try {
        // No guessing: an abbreviated option may mean another one in the next version.
        using namespace po::command_line_style;
        const int style = unix_style & ~allow_guessing;
        po::store(
            po::command_line_parser(words).options(all).positional(positions).style(style).run(),
            arguments.options);
        po::notify(arguments.options);
    } catch (const po::error& error) {
        throw UsageError(error.what());
    }
    arguments.operands = arguments.values("operand");
    return arguments;
}

void check_operands(const Command& command, const Arguments& arguments) {
    const std::string takes =
        command.operands.empty() ? "options only" : std::string(command.operands);
    if (arguments.operands.size() < command.least_operands) {
        throw UsageError("something is missing: it takes " + takes);
    }
    if (arguments.operands.size() > command.most_operands) {
        throw UsageError("too many words: it takes " + takes);
    }
}

int exit_status_of(int code) {
    switch (code) {
        case EBUSY:
            return in_use;
        case ECANCELED:
            return interrupted;
        case ECONNRESET:
        case EPROTO:
        case EPROTONOSUPPORT:
            return connection_lost;
        default:
            return failed;
    }
}

/// Messages are "PATH: what is wrong; way out" as a rule.
void report(const Program& program, const std::string& line, bool as_json) {
    if (!as_json) {
        std::cerr << program.name << ": " << line << "\n";
        return;
    }
    nlohmann::json document = {
        {"schema", 1}, {"error", line}, {"path", nullptr}, {"hint", nullptr}};
    if (const auto colon = line.find(": "); colon != std::string::npos) {
        document["path"] = line.substr(0, colon);
    }
    if (const auto hint = line.rfind("; "); hint != std::string::npos) {
        document["hint"] = line.substr(hint + 2);
    }
    std::cout << document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
    if (!std::cout.flush()) {
        std::cerr << program.name << ": " << line << "\n";
    }
}

int run_parsed(const Program& program, const Command& command,
               const std::vector<std::string>& words) {
    const auto arguments = parse(command, words);
    if (arguments.has("help")) {
        std::cout << command_help(program, command);
        return done;
    }
    check_operands(command, arguments);
    const int status = command.run(arguments);
    std::cout.flush();
    if (!std::cout) {
        fail(EIO, "standard output: can't be written");
    }
    return status;
}

int run_command(const Program& program, const Command& command,
                const std::vector<std::string>& words) {
    const bool as_json = std::ranges::find(words, "--json") != words.end();
    try {
        return run_parsed(program, command, words);
    } catch (const UsageError& error) {
        const auto line = std::string(command.name) + ": " + error.what() + "; see " +
                          std::string(program.name) + " " + std::string(command.name) + " --help";
        report(program, line, as_json);
        return usage;
    } catch (const std::exception& error) {
        report(program, message_of(error), as_json);
        return exit_status_of(errno_of(error));
    }
}

/// Else the next file that is opened would be taken for one of them.
void open_standard_descriptors() {
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        if (::fcntl(fd, F_GETFD) < 0) {
            [[maybe_unused]] const int lowest = ::open("/dev/null", O_RDWR);
        }
    }
}

const Command* find_command(const Program& program, std::string_view name) {
    const auto found = std::ranges::find(program.commands, name, &Command::name);
    return found == program.commands.end() ? nullptr : &*found;
}

}  // namespace

std::string Arguments::value(const std::string& option, const std::string& fallback) const {
    return has(option) ? options[option].as<std::string>() : fallback;
}

std::vector<std::string> Arguments::values(const std::string& option) const {
    return has(option) ? options[option].as<std::vector<std::string>>()
                       : std::vector<std::string>();
}

int run_program(const Program& program, int argc, char** argv) {
    open_standard_descriptors();
    std::vector<std::string> words(argv + 1, argv + argc);
    if (words.empty()) {
        std::cerr << program_help(program);
        return usage;
    }
    auto first = words.front();
    words.erase(words.begin());
    if (first == "help" && !words.empty()) {
        first = words.front();
        words = {"--help"};
    }
    if (first == "--help" || first == "-h" || first == "help") {
        std::cout << program_help(program);
        return done;
    }
    if (first == "--version" || first == "-V") {
        std::cout << program.name << " " << IMGFS_VERSION << "\n";
        return done;
    }
    if (first == "--man") {
        std::cout << man_page(program);
        return done;
    }
    const auto* command = find_command(program, first);
    if (command == nullptr) {
        std::cerr << program.name << ": there is no command '" << printable(first) << "'; see "
                  << program.name << " --help\n";
        return usage;
    }
    return run_command(program, *command, words);
}

}  // namespace imgfs
