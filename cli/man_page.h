// A program's man page and help, made from its table.
#pragma once

#include <string>

#include "cli/options.h"

namespace imgfs {

/// In roff's man macros, for section 1.
std::string man_page(const Program& program);

/// `--help` of the program and of one command.
std::string program_help(const Program& program);
std::string command_help(const Program& program, const Command& command);

/// All options of a command, --help among them.
OptionTable option_table(const Command& command);

}  // namespace imgfs
