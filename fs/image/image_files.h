// From what a person names to the files of one image.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "fs/source/source.h"

namespace imgfs {

struct ImageFiles {
    std::filesystem::path folder;  ///< where the parts lie
    std::string name;              ///< file name without the split suffix: "sda1.ext4-ptcl-img.gz"
    std::vector<std::filesystem::path> parts;  ///< in order, at least one
};

/// `named` is any part, the name without the split suffix, or FOLDER/PARTITION of a Clonezilla
/// folder
/// ("web1/sda1"); an existing file wins. A missing part (.aa .ac) is ENOENT and named, as is a part
/// that is shorter than those before it though not the last.
ImageFiles locate_image(const std::filesystem::path& named);

/// All parts joined, opened read-only.
std::unique_ptr<Source> open_parts(const ImageFiles& files);

/// Sizes, times and a hash of both ends of each part: changes when the packed files are no longer
/// the same.
Bytes packed_identity(const ImageFiles& files);

}  // namespace imgfs
