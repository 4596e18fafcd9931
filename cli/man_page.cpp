#include "cli/man_page.h"

#include <algorithm>
#include <boost/program_options.hpp>
#include <sstream>

namespace imgfs {
namespace {

/// Text as roff shows it unchanged: escapes backslashes, hyphens, and what would be a request.
std::string roff(std::string_view text) {
    std::string out;
    bool line_start = true;
    for (const char letter : text) {
        if (line_start && (letter == '.' || letter == '\'')) {
            out += "\\&";
        }
        if (letter == '\\') {
            out += "\\e";
        } else if (letter == '-') {
            out += "\\-";
        } else {
            out += letter;
        }
        line_start = letter == '\n';
    }
    return out;
}

/// Blank lines between paragraphs become .PP.
std::string paragraphs(std::string_view text) {
    auto out = roff(text);
    for (size_t at = 0; (at = out.find("\n\n", at)) != std::string::npos; at += 5) {
        out.replace(at, 2, "\n.PP\n");
    }
    return out + "\n";
}

std::string option_entries(const OptionTable& table) {
    std::string page;
    for (const auto& option : table.options()) {
        page += ".TP\n\\fB" + roff(option->format_name()) + "\\fR";
        if (option->semantic()->max_tokens() > 0) {
            page += " \\fI" + roff(option->format_parameter()) + "\\fR";
        }
        page += "\n" + roff(option->description()) + "\n";
    }
    return page;
}

std::string synopsis(const Program& program, const Command& command) {
    std::string line(program.name);
    line += " ";
    line += command.name;
    line += " [OPTION...]";
    if (!command.operands.empty()) {
        line += " ";
        line += command.operands;
    }
    return line;
}

std::string upper(std::string_view text) {
    std::string out(text);
    std::ranges::transform(out, out.begin(),
                           [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    return out;
}

}  // namespace

OptionTable option_table(const Command& command) {
    OptionTable table("Options", 100);
    if (command.add_options != nullptr) {
        command.add_options(table);
    }
    table.add_options()("help,h", "show this help");
    return table;
}

std::string man_page(const Program& program) {
    std::string page = ".TH " + upper(program.name) + " 1 \"\" \"" + std::string(program.name) +
                       " " + IMGFS_VERSION + "\" \"User Commands\"\n";
    page += ".SH NAME\n" + roff(program.name) + " \\- " + roff(program.summary) + "\n";
    page += ".SH SYNOPSIS\n";
    for (const auto& command : program.commands) {
        page += ".B " + roff(synopsis(program, command)) + "\n.br\n";
    }
    page += ".SH DESCRIPTION\n" + paragraphs(program.description);
    page += ".SH COMMANDS\n";
    for (const auto& command : program.commands) {
        page += ".SS \"" + roff(synopsis(program, command)) + "\"\n";
        page += roff(command.summary) + ".\n";
        if (!command.description.empty()) {
            page += ".PP\n" + paragraphs(command.description);
        }
        page += option_entries(option_table(command));
    }
    page += ".SH \"EXIT STATUS\"\n.nf\n" + roff(program.exit_statuses) + "\n.fi\n";
    return page;
}

std::string program_help(const Program& program) {
    std::ostringstream out;
    out << "Usage: " << program.name << " COMMAND [OPTION...] ...\n\n"
        << program.name << ": " << program.summary << "\n\nCommands:\n";
    for (const auto& command : program.commands) {
        std::string head(command.name);
        head += " ";
        head += command.operands;
        out << "  " << head << std::string(head.size() < 34 ? 34 - head.size() : 1, ' ')
            << command.summary << "\n";
    }
    out << "\n`" << program.name << " COMMAND --help` tells more; `man " << program.name
        << "` tells all.\n";
    return out.str();
}

std::string command_help(const Program& program, const Command& command) {
    std::ostringstream out;
    out << "Usage: " << synopsis(program, command) << "\n\n" << command.summary << ".\n";
    if (!command.description.empty()) {
        out << "\n" << command.description << "\n";
    }
    out << "\n" << option_table(command);
    return out.str();
}

}  // namespace imgfs
