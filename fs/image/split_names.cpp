#include "fs/image/split_names.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>

#include "fs/base/error.h"
#include "fs/base/text.h"

namespace imgfs {
namespace {

struct StyleRow {
    SplitStyle style;
    size_t length;
    char first;
    char last;

    constexpr uint64_t letters() const { return static_cast<unsigned char>(last - first) + 1U; }
};
constexpr std::array<StyleRow, 4> kStyles{{{SplitStyle::two_letters, 2, 'a', 'z'},
                                           {SplitStyle::three_letters, 3, 'a', 'z'},
                                           {SplitStyle::two_digits, 2, '0', '9'},
                                           {SplitStyle::three_digits, 3, '0', '9'}}};

/// Endings that mean something else, though the hundredth part may be called so.
constexpr std::array<std::string_view, 14> kOtherEndings{
    "gz", "bz", "xz", "lz", "zst", "lzo", "lrz", "img", "iso", "raw", "pcl", "dat", "tar", "txt"};

/// Part 25 of one letter less is still an early part: nothing else is called .ab or .aab.
constexpr uint64_t kEarlyParts = 26;

/// As sda1-22.11 and root-1 do, and sda1 doesn't.
bool ends_with_number(std::string_view name) {
    const auto last = name.find_last_not_of("0123456789");
    return last != name.size() - 1 && (last == std::string_view::npos || name[last] == '.' ||
                                       name[last] == '-' || name[last] == '_');
}

[[noreturn]] void refuse_gap(const std::filesystem::path& folder, const SplitName& part,
                             uint64_t first, const std::string& present) {
    const bool is_first = part.number == first;
    fail(ENOENT, printable((folder / split_name(part)).string()) +
                     ": this part of the image is missing (" + printable(present) + " is there)" +
                     (is_first ? "" : "; imgfs mount --rescue shows what can be read without it"));
}

uint64_t first_number(const std::map<uint64_t, std::string>& parts, SplitStyle style) {
    const bool from_one = style == SplitStyle::three_digits && parts.begin()->first == 1;
    return from_one ? 1 : 0;  // some tools call the first part .001
}

/// Empty if these are no parts at all but files that only look so.
std::vector<std::string> joined(const SplitFolder& folder, SplitName part,
                                const std::map<uint64_t, std::string>& parts) {
    std::vector<std::string> names;
    const auto first = part.number = first_number(parts, part.style);
    for (const auto& [number, name] : parts) {
        const auto ending = std::string_view(name).substr(part.base.size() + 1);
        const bool expected = number == part.number;
        if (!expected && std::ranges::find(kOtherEndings, ending) != kOtherEndings.end()) {
            continue;
        }
        if (!expected && names.empty() && number >= kEarlyParts) {
            return {};
        }
        if (!expected && (names.empty() || folder.missing == MissingParts::refused)) {
            refuse_gap(folder.path, part, first, name);
        }
        for (; part.number < number; ++part.number) {
            names.push_back(split_name(part));
        }
        names.push_back(name);
        ++part.number;
    }
    const auto wider = part.base + ".9000";  // what split calls the part behind .89
    if (part.style == SplitStyle::two_digits && part.number == 90 &&
        std::ranges::find(folder.names, wider) != folder.names.end()) {
        fail(ENOTSUP, printable((folder.path / wider).string()) +
                          ": names that become longer aren't read; rename the parts to " +
                          printable(part.base) + ".000, .001 and so on");
    }
    return names;
}

}  // namespace

std::optional<SplitName> parse_split_name(std::string_view name) {
    const auto dot = name.rfind('.');
    if (dot == std::string_view::npos || dot == 0) {
        return {};
    }
    const auto ending = name.substr(dot + 1);
    const auto base = name.substr(0, dot);
    for (const auto& row : kStyles) {
        if (row.style == SplitStyle::two_digits && ends_with_number(base)) {
            continue;  // a date or a version
        }
        const bool fits =
            ending.size() == row.length && std::ranges::all_of(ending, [&](char letter) {
                return row.first <= letter && letter <= row.last;
            });
        if (!fits) {
            continue;
        }
        SplitName part{.base = std::string(base), .style = row.style};
        for (const char letter : ending) {
            part.number = part.number * row.letters() + static_cast<uint64_t>(letter - row.first);
        }
        return part;
    }
    return {};
}

std::string split_name(const SplitName& part) {
    const auto row = std::ranges::find(kStyles, part.style, &StyleRow::style);
    const auto letters = row->letters();
    std::string ending(row->length, row->first);
    uint64_t left = part.number;
    for (size_t i = ending.size(); i-- > 0; left /= letters) {
        ending[i] = static_cast<char>(row->first + static_cast<char>(left % letters));
    }
    return part.base + "." + ending;
}

std::vector<FileSet> split_sets(const SplitFolder& folder, std::string_view base) {
    std::map<SplitStyle, std::map<uint64_t, std::string>> found;
    for (const auto& name : folder.names) {
        if (const auto part = parse_split_name(name); part && part->base == base) {
            found[part->style].emplace(part->number, name);
        }
    }
    std::vector<FileSet> sets;
    for (const auto& [style, parts] : found) {
        auto in_order = joined(folder, {.base = std::string(base), .style = style}, parts);
        if (!in_order.empty()) {
            sets.push_back({std::string(base), std::move(in_order), true});
        }
    }
    return sets;
}

}  // namespace imgfs
