#include "fs/transfer/new_parts.h"

#include <algorithm>
#include <cerrno>

#include "fs/base/error.h"
#include "fs/base/text.h"
#include "fs/image/split_names.h"

namespace imgfs {
namespace {

constexpr size_t kTwoLetters = 26 * 26;
constexpr size_t kPartsMost = 26 * kTwoLetters;

std::filesystem::path folder_of(const std::filesystem::path& path) {
    return path.has_parent_path() ? path.parent_path() : ".";
}

}  // namespace

NewParts::NewParts(std::filesystem::path path, uint64_t part_size)
    : path_(std::move(path)), part_size_(part_size) {
    begin_part();
}

void NewParts::begin_part() {
    if (parts_.size() == kPartsMost) {
        fail(EFBIG, printable(path_.string()) + ": would have more than " +
                        format_count(kPartsMost) + " parts; make them larger");
    }
    if (!parts_.empty()) {
        parts_.back().finish();
    }
    parts_.emplace_back(path_);
    in_part_ = 0;
}

void NewParts::write(ConstByteSpan bytes) {
    while (!bytes.empty()) {
        if (part_size_ != 0 && in_part_ == part_size_) {
            begin_part();
        }
        const auto room = part_size_ == 0 ? bytes.size() : part_size_ - in_part_;
        const auto piece = bytes.first(std::min(bytes.size(), room));
        write_exactly(parts_.back().fd(), in_part_, piece, parts_.back().name());
        in_part_ += piece.size();
        size_ += piece.size();
        bytes = bytes.subspan(piece.size());
    }
}

std::filesystem::path NewParts::name_of(size_t part) const {
    if (part_size_ == 0) {
        return path_;
    }
    const auto style =
        parts_.size() <= kTwoLetters ? SplitStyle::two_letters : SplitStyle::three_letters;
    return folder_of(path_) /
           split_name({.base = path_.filename().string(), .style = style, .number = part});
}

std::vector<std::filesystem::path> NewParts::publish() {
    parts_.back().finish();
    if (part_size_ == 0) {
        parts_.front().publish(path_);
    } else {
        publish_parts();
    }
    sync_directory(folder_of(path_));
    std::vector<std::filesystem::path> names;
    for (size_t part = 0; part < parts_.size(); ++part) {
        names.push_back(name_of(part));
    }
    return names;
}

/// The first comes last: without it there is no image.
void NewParts::publish_parts() {
    for (size_t part = parts_.size(); part-- > 1;) {
        parts_[part].publish(name_of(part));
    }
    sync_directory(folder_of(path_));
    parts_.front().publish(name_of(0));
}

std::vector<std::filesystem::path> files_of_name(const std::filesystem::path& path) {
    const auto folder = folder_of(path);
    SplitFolder split{.path = folder, .names = {}, .missing = MissingParts::named};
    std::error_code error;
    const std::filesystem::directory_iterator entries(folder, error);
    if (error) {
        fail(error.value(), printable(folder.string()) + ": " + error.message());
    }
    for (const auto& entry : entries) {
        split.names.push_back(entry.path().filename().string());
    }
    const auto base = path.filename().string();
    std::vector<std::filesystem::path> files;
    if (std::ranges::find(split.names, base) != split.names.end()) {
        files.push_back(folder / base);
    }
    for (const auto& set : split_sets(split, base)) {
        for (const auto& name : set.names) {
            if (std::ranges::find(split.names, name) != split.names.end()) {
                files.push_back(folder / name);
            }
        }
    }
    return files;
}

}  // namespace imgfs
