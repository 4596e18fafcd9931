// From what a person names to the files of one image.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fs/image/split_names.h"
#include "fs/source/source.h"

namespace imgfs {

/// A part that is missing or cut short, though it is not the last.
struct PartGap {
    size_t part = 0;
    std::optional<uint64_t> there = {};  ///< bytes that there are; nothing if it is missing
    uint64_t size = 0;                   ///< what it must have had
};

struct ImageFiles {
    std::filesystem::path folder;  ///< where the parts lie
    std::string name;              ///< file name without the split suffix: "sda1.ext4-ptcl-img.gz"
    std::vector<std::filesystem::path> parts;  ///< in order, at least one
    std::vector<PartGap> gaps;                 ///< in order
};

/// `named` is any part, the name without the split suffix, or FOLDER/PARTITION of a Clonezilla
/// folder
/// ("web1/sda1"); an existing file wins. A missing part (.aa .ac) is ENOENT and named, a part that
/// is shorter than others though not the last EUCLEAN; or both are gaps, if that is asked for.
ImageFiles locate_image(const std::filesystem::path& named,
                        MissingParts missing = MissingParts::refused);

/// In one line: which part it is, what is assumed.
std::string describe_gap(const ImageFiles& files, const PartGap& gap);

/// All parts joined, opened read-only. What stands in a gap can't be read (EUCLEAN).
std::unique_ptr<Source> open_parts(const ImageFiles& files);

/// Sizes, times and a hash of both ends of each part: changes when the packed files are no longer
/// the same.
Bytes packed_identity(const ImageFiles& files);

}  // namespace imgfs
