#include "fs/image/image_files.h"

#include <string.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>

#include "fs/base/error.h"
#include "fs/base/text.h"
#include "fs/image/split_names.h"

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
std::vector<FileSet> partition_sets(const files::path& folder,
                                    const std::vector<std::string>& names,
                                    const std::string& partition) {
    std::vector<FileSet> sets;
    Names bases;
    for (const auto& name : names) {
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
        std::ranges::move(split_sets(folder, names, base), std::back_inserter(sets));
    }
    return sets;
}

ImageFiles image_of(const files::path& folder, const FileSet& set) {
    ImageFiles image{.folder = folder, .name = set.base};
    for (const auto& name : set.names) {
        image.parts.push_back(folder / name);
    }
    if (set.names.size() == 1) {
        return image;
    }
    std::vector<uint64_t> sizes;
    for (const auto& part : image.parts) {
        std::error_code error;
        sizes.push_back(files::file_size(part, error));
        if (error) {
            fail(error.value(), shown(part) + ": " + error.message());
        }
    }
    const auto full = std::ranges::max(sizes);
    const auto shorter =
        std::find_if(sizes.begin(), sizes.end() - 1, [&](uint64_t size) { return size != full; });
    if (shorter != sizes.end() - 1) {
        const auto part = static_cast<size_t>(shorter - sizes.begin());
        fail(EUCLEAN, shown(image.parts[part]) + ": this part of the image is cut short: " +
                          format_count(*shorter) + " bytes, others have " + format_count(full));
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

ImageFiles only_one(const files::path& named, const files::path& folder,
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

ImageFiles locate_file(const files::path& named, const files::path& folder) {
    const auto name = named.filename().string();
    if (const auto part = parse_split_name(name)) {
        for (const auto& set : split_sets(folder, files_in(folder), part->base)) {
            if (std::ranges::find(set.names, name) != set.names.end()) {
                return image_of(folder, set);
            }
        }
    }
    return {.folder = folder, .name = name, .parts = {named}};
}

ImageFiles locate_by_name(const files::path& named, const files::path& folder) {
    const auto names = files_in(folder);
    const auto name = named.filename().string();
    auto sets = split_sets(folder, names, name);
    std::ranges::move(partition_sets(folder, names, name), std::back_inserter(sets));
    if (!sets.empty()) {
        return only_one(named, folder, sets);
    }
    if (const auto part = parse_split_name(name)) {
        split_sets(folder, names, part->base);  // says so if it is this part that is missing
    }
    const auto partitions = partitions_in(names);
    fail(ENOENT,
         shown(named) + ": no such image" +
             (partitions.empty() ? "" : "; there is " + listed(named.parent_path(), partitions)));
}

}  // namespace

ImageFiles locate_image(const std::filesystem::path& named) {
    const auto folder = named.has_parent_path() ? named.parent_path() : files::path(".");
    switch (type_of(named)) {
        case files::file_type::directory:
            refuse_folder(named);
        case files::file_type::not_found:
            return locate_by_name(named, folder);
        default:
            return locate_file(named, folder);
    }
}

}  // namespace imgfs
