// How the parts of a split image are named: .aa .ab …, .aaa .aab …, .00 .01 …, .000 .001 …
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace imgfs {

enum class SplitStyle { two_letters, three_letters, two_digits, three_digits };

struct SplitName {
    std::string base;
    SplitStyle style = SplitStyle::two_letters;
    uint64_t number = 0;  ///< of the part, from 0
};

/// Nothing if `name` doesn't end as a part's name does; nor if it ends as a date or a version does.
std::optional<SplitName> parse_split_name(std::string_view name);

std::string split_name(const SplitName& part);

/// An image as the files in one folder show it: parts of one base and style, or a single file.
struct FileSet {
    std::string base;
    std::vector<std::string> names;  ///< in order
    bool split = false;
};

/// What becomes of an image of which a part is missing.
enum class MissingParts {
    refused,
    named  ///< as if they were there, but for the first
};

struct SplitFolder {
    std::filesystem::path path;  ///< as it is named to a person
    std::vector<std::string> names;
    MissingParts missing = MissingParts::refused;
};

/// The parts of `base` in a folder, a set a style. ".gz" and the like are taken for parts only
/// where they carry on a set. A gap that is refused is ENOENT naming the first missing part.
std::vector<FileSet> split_sets(const SplitFolder& folder, std::string_view base);

}  // namespace imgfs
