#include "fs/image/image_files.h"

#include <string.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>

#include "fs/base/error.h"
#include "fs/base/text.h"

namespace imgfs {
namespace {

namespace files = std::filesystem;

constexpr std::array<std::string_view, 11> kCodecEndings{
    ".gz", ".bz2", ".lzo", ".lzma", ".xz", ".lz", ".lzip", ".lrz", ".lz4", ".zst", ".uncomp"};

struct ByVersion {
    bool operator()(const std::string& a, const std::string& b) const {
        return ::strverscmp(a.c_str(), b.c_str()) < 0;  // sda2 before sda10
    }
};
using Names = std::set<std::string, ByVersion>;

std::string shown(const files::path& path) {
    return printable(path.string());
}

files::file_type type_of(const files::path& path) {
    std::error_code error;
    const auto type = files::status(path, error).type();
    if (type == files::file_type::none) {
        fail(error.value(), shown(path) + ": " + error.message());
    }
    return type;
}

std::vector<std::string> files_in(const files::path& folder) {
    std::vector<std::string> names;
    std::error_code error;
    files::directory_iterator entry(folder, error);
    for (; !error && entry != files::directory_iterator(); entry.increment(error)) {
        if (std::error_code ignored; !entry->is_directory(ignored)) {
            names.push_back(entry->path().filename().string());
        }
    }
    if (error) {
        fail(error.value(), shown(folder) + ": " + error.message());
    }
    return names;
}

/// "sda1" of "sda1.ext4-ptcl-img.gz", as Clonezilla names a partition's image; empty for any other
/// name.
std::string partition_of(std::string_view base) {
    for (const auto codec : kCodecEndings) {
        if (base.ends_with(codec)) {
            base.remove_suffix(codec.size());
            break;
        }
    }
    const auto dot = base.rfind('.');
    if (!base.ends_with("-img") || dot == std::string_view::npos) {
        return {};
    }
    return std::string(base.substr(0, dot));
}

/// Without a look at whether parts are missing: that is for the image somebody wants.
std::string base_of(const std::string& name) {
    if (!partition_of(name).empty()) {
        return name;  // ….gz would pass for a part
    }
    const auto part = parse_split_name(name);
    return part ? part->base : name;
}

Names partitions_in(const std::vector<std::string>& names) {
    Names partitions;
    for (const auto& name : names) {
        if (auto partition = partition_of(base_of(name)); !partition.empty()) {
            partitions.insert(std::move(partition));
        }
    }
    return partitions;
}

std::string listed(const files::path& folder, const Names& names) {
    std::string line;
    for (const auto& name : names) {
        line += (line.empty() ? "" : ", ") + shown(folder / name);
    }
    return line;
}

/// Everything that FOLDER/PARTITION can mean.
std::vector<FileSet> partition_sets(const SplitFolder& folder, const std::string& partition) {
    std::vector<FileSet> sets;
    Names bases;
    for (const auto& name : folder.names) {
        const auto base = base_of(name);
        if (partition_of(base) != partition) {
            continue;
        }
        if (name == base) {
            sets.push_back({base, {name}});
        } else {
            bases.insert(base);
        }
    }
    for (const auto& base : bases) {
        std::ranges::move(split_sets(folder, base), std::back_inserter(sets));
    }
    return sets;
}

/// Nothing of a part that is missing.
std::optional<uint64_t> size_of(const files::path& part, MissingParts missing) {
    std::error_code error;
    const auto size = files::file_size(part, error);
    if (error == std::errc::no_such_file_or_directory && missing == MissingParts::named) {
        return std::nullopt;
    }
    if (error) {
        fail(error.value(), shown(part) + ": " + error.message());
    }
    return size;
}

/// All parts but the last are equal.
std::vector<PartGap> gaps_in(const std::vector<files::path>& parts, MissingParts missing) {
    std::vector<std::optional<uint64_t>> sizes;
    for (const auto& part : parts) {
        sizes.push_back(size_of(part, missing));
    }
    const auto full = *std::max_element(sizes.begin(), sizes.end() - 1);
    if (!full || sizes.back() > full) {
        fail(EUCLEAN, shown(parts.front()) + ": this part of the image is cut short: " +
                          format_count(sizes.front().value_or(0)) + " bytes, the last has " +
                          format_count(sizes.back().value_or(0)) +
                          "; how long it was can't be told");
    }
    std::vector<PartGap> gaps;
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
        if (sizes[i] != full) {
            gaps.push_back({.part = i, .there = sizes[i], .size = *full});
        }
    }
    return gaps;
}

ImageFiles image_of(const SplitFolder& folder, const FileSet& set) {
    ImageFiles image{.folder = folder.path, .name = set.base};
    for (const auto& name : set.names) {
        image.parts.push_back(folder.path / name);
    }
    if (set.names.size() == 1) {
        return image;
    }
    image.gaps = gaps_in(image.parts, folder.missing);
    if (!image.gaps.empty() && folder.missing == MissingParts::refused) {
        fail(EUCLEAN, describe_gap(image, image.gaps.front()) +
                          "; imgfs mount --rescue shows what can be read without it");
    }
    return image;
}

[[noreturn]] void refuse_folder(const files::path& named) {
    const auto folder = named.has_filename() ? named : named.parent_path();
    const auto partitions = partitions_in(files_in(named));
    if (partitions.empty()) {
        fail(EISDIR, shown(folder) + ": a folder without partition images");
    }
    fail(EISDIR, shown(folder) + ": name one of its partitions: " + listed(folder, partitions));
}

ImageFiles only_one(const files::path& named, const SplitFolder& folder,
                    const std::vector<FileSet>& sets) {
    if (sets.size() == 1) {
        return image_of(folder, sets.front());
    }
    Names candidates;
    for (const auto& set : sets) {
        candidates.insert(set.names.front());
    }
    fail(EINVAL,
         shown(named) + ": name one of these images: " + listed(named.parent_path(), candidates));
}

/// The split image of which `name` is a part. Says so if it is another part that is missing.
std::optional<ImageFiles> image_with_part(const SplitFolder& folder, const std::string& name) {
    if (const auto part = parse_split_name(name)) {
        for (const auto& set : split_sets(folder, part->base)) {
            if (std::ranges::find(set.names, name) != set.names.end()) {
                return image_of(folder, set);
            }
        }
    }
    return std::nullopt;
}

ImageFiles locate_file(const files::path& named, const SplitFolder& folder) {
    const auto name = named.filename().string();
    auto image = image_with_part(folder, name);
    return image ? std::move(*image)
                 : ImageFiles{.folder = folder.path, .name = name, .parts = {named}};
}

ImageFiles locate_by_name(const files::path& named, const SplitFolder& folder) {
    const auto name = named.filename().string();
    auto sets = split_sets(folder, name);
    std::ranges::move(partition_sets(folder, name), std::back_inserter(sets));
    if (!sets.empty()) {
        return only_one(named, folder, sets);
    }
    if (auto image = image_with_part(folder, name)) {
        return std::move(*image);
    }
    const auto partitions = partitions_in(folder.names);
    fail(ENOENT,
         shown(named) + ": no such image" +
             (partitions.empty() ? "" : "; there is " + listed(named.parent_path(), partitions)));
}

}  // namespace

ImageFiles locate_image(const std::filesystem::path& named, MissingParts missing) {
    const auto path = named.has_parent_path() ? named.parent_path() : files::path(".");
    const auto type = type_of(named);
    if (type == files::file_type::directory) {
        refuse_folder(named);
    }
    const bool may_be_part = parse_split_name(named.filename().string()).has_value();
    const bool is_listed = type == files::file_type::not_found || may_be_part;
    const SplitFolder folder{.path = path,
                             .names = is_listed ? files_in(path) : std::vector<std::string>(),
                             .missing = missing};
    return type == files::file_type::not_found ? locate_by_name(named, folder)
                                               : locate_file(named, folder);
}

std::string describe_gap(const ImageFiles& files, const PartGap& gap) {
    const auto part = shown(files.parts[gap.part]);
    return gap.there ? part + ": this part of the image is cut short: " + format_count(*gap.there) +
                           " bytes, others have " + format_count(gap.size)
                     : part + ": this part of the image is missing; it is taken to have " +
                           format_count(gap.size) + " bytes, as others have";
}

}  // namespace imgfs
