// imgfs diff: which files differ between two states of an image.
#include <algorithm>
#include <array>
#include <cerrno>
#include <iostream>

#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/open_view.h"
#include "cli/terminal.h"
#include "fs/base/error.h"
#include "fs/base/text.h"
#include "fs/store/delta_states.h"
#include "fs/view/ext_difference.h"

namespace imgfs {
namespace {

struct KindRow {
    FileDifference::Kind kind;
    char letter;
    const char* word;
};

constexpr std::array kKinds = {
    KindRow{FileDifference::Kind::added, 'A', "added"},
    KindRow{FileDifference::Kind::changed, 'C', "changed"},
    KindRow{FileDifference::Kind::deleted, 'D', "deleted"},
    KindRow{FileDifference::Kind::metadata, 'M', "metadata"},
    KindRow{FileDifference::Kind::renamed, 'R', "renamed"},
};

const KindRow& row_of(FileDifference::Kind kind) {
    return *std::ranges::find(kKinds, kind, &KindRow::kind);
}

/// The two states as they were asked for.
struct Between {
    std::string before;
    std::string after;
};

Between between(const Arguments& arguments) {
    const auto& operands = arguments.operands;
    return {operands.size() > 1 ? operands[1] : "base", operands.size() > 2 ? operands[2] : "now"};
}

std::vector<FileDifference> differences(const OpenDevice& opened, const Arguments& arguments) {
    const auto before = open_state(opened, between(arguments).before);
    const auto point =
        arguments.operands.size() > 2 ? open_state(opened, arguments.operands[2]) : OpenState{};
    const DeltaStore& delta = point.delta ? *point.delta : *opened.delta;
    return find_differences({*before.device, point.device ? *point.device : *opened.device,
                             [&](uint64_t offset, uint64_t length) {
                                 return same_bytes(*before.delta, delta, offset, length);
                             }},
                            terminal_progress("comparing"));
}

uint64_t count_of(const std::vector<FileDifference>& found, FileDifference::Kind kind) {
    return static_cast<uint64_t>(std::ranges::count(found, kind, &FileDifference::kind));
}

void print(const std::vector<FileDifference>& found, const Between& states) {
    for (const auto& file : found) {
        std::cout << row_of(file.kind).letter << ' ' << printable(file.path);
        if (file.kind == FileDifference::Kind::renamed) {
            std::cout << " -> " << printable(file.new_path);
        }
        std::cout << "\n";
    }
    std::string counts;
    for (const auto& row : kKinds) {
        counts += ", " + format_count(count_of(found, row.kind)) + " " + row.word;
    }
    say("from " + states.before + " to " + states.after + ": " + counts.substr(2));
}

void print_as_json(const std::vector<FileDifference>& found, const Between& states) {
    auto differences = nlohmann::json::array();
    for (const auto& file : found) {
        nlohmann::json entry = {{"change", row_of(file.kind).word}, {"path", file.path}};
        if (file.kind == FileDifference::Kind::renamed) {
            entry["new_path"] = file.new_path;
        }
        differences.push_back(std::move(entry));
    }
    print_json({{"from", states.before}, {"to", states.after}, {"differences", differences}});
}

}  // namespace

void add_diff_options(OptionTable& table) {
    add_delta_option(table);
    table.add_options()("json", "print one JSON document");
}

int diff_command(const Arguments& arguments) {
    const auto opened = open_device(image_options(arguments), DeltaAccess::read_only, "imgfs diff");
    if (!has_ext_superblock(*opened.device)) {
        fail(EMEDIUMTYPE, printable(opened.files.name) +
                              ": holds no ext2, ext3 or ext4 file system, whose files could be "
                              "compared");
    }
    const auto found = differences(opened, arguments);
    if (arguments.has("json")) {
        print_as_json(found, between(arguments));
    } else {
        print(found, between(arguments));
    }
    return found.empty() ? done : damage;
}

}  // namespace imgfs
