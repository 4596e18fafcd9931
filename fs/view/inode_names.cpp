#include "fs/view/inode_names.h"

#include <algorithm>
#include <cerrno>
#include <unordered_set>

#include "fs/base/error.h"
#include "fs/view/file_comparison.h"

namespace imgfs {
namespace {

constexpr size_t kDeepest = 100'000;  // directories below each other; more go round in a circle

}  // namespace

InodeNames::InodeNames(const ExtStates& states, std::span<const ext2_ino_t> differing)
    : differing_(differing) {
    if (!differing_.empty()) {
        read_all_after(states);
        read_changed_before(states.before);
    }
}

/// Level by level and each in the order of the inodes, so that the partition is walked forward.
void InodeNames::read_all_after(const ExtStates& states) {
    Directories directories(states.after, 1);
    std::unordered_set<ext2_ino_t> seen = {kRootInode};
    std::vector<ext2_ino_t> level = {kRootInode};
    while (!level.empty()) {
        std::vector<ext2_ino_t> next;
        for (const auto directory : level) {
            auto below = read_after(states, directories, directory);
            std::erase_if(below, [&](ext2_ino_t number) { return !seen.insert(number).second; });
            next.insert(next.end(), below.begin(), below.end());
        }
        std::ranges::sort(next);
        level = std::move(next);
    }
}

/// Where times have seconds only, a name may come and go without a trace in the inode.
std::vector<ext2_ino_t> InodeNames::read_after(const ExtStates& states, Directories& directories,
                                               ext2_ino_t directory) {
    const bool is_written = differs(directory) || !is_untouched(states, directory);
    if (is_written) {
        written_.insert(directory);
    }
    return read(states.after, directories, directory, is_written ? after_ : in_both_);
}

/// The others are as they are afterwards.
void InodeNames::read_changed_before(ExtFilesystem& fs) {
    Directories directories(fs, 1);
    auto changed = written_;
    changed.insert(differing_.begin(), differing_.end());
    for (const auto number : changed) {
        const auto inode = inode_in_use(fs, number);
        if (inode && LINUX_S_ISDIR(inode->i_mode)) {
            read(fs, directories, number, before_);
        }
    }
}

std::vector<ext2_ino_t> InodeNames::read(ExtFilesystem& fs, Directories& directories,
                                         ext2_ino_t directory, Names& names) {
    std::vector<ext2_ino_t> below;
    for (auto& entry : directories.list(directory)) {
        if (entry.name == "." || entry.name == "..") {
            continue;
        }
        const auto number = static_cast<ext2_ino_t>(entry.inode);
        const bool is_directory =
            entry.type == 0 ? S_ISDIR(fs.inode(number).i_mode) : S_ISDIR(entry.type);
        if (is_directory) {
            below.push_back(number);
        }
        if (is_directory || differs(number)) {
            names.emplace(number, NamePlace{directory, std::move(entry.name)});
        }
    }
    return below;
}

bool InodeNames::differs(ext2_ino_t inode) const {
    return std::ranges::binary_search(differing_, inode);
}

std::vector<NamePlace> InodeNames::places(State state, ext2_ino_t inode) const {
    std::vector<NamePlace> found;
    for (const auto* names : {&in_both_, state == State::before ? &before_ : &after_}) {
        const auto [first, end] = names->equal_range(inode);
        for (auto next = first; next != end; ++next) {
            found.push_back(next->second);
        }
    }
    std::ranges::sort(found);
    return found;
}

std::optional<std::string> InodeNames::path(State state, const NamePlace& place) const {
    std::vector<std::string> names = {place.name};
    for (auto directory = place.directory; directory != kRootInode;) {
        auto above = places(state, directory);
        if (above.empty()) {
            return std::nullopt;
        }
        if (names.size() > kDeepest) {
            fail(EUCLEAN, "directory inode " + std::to_string(directory) + " is inside itself");
        }
        directory = above.front().directory;
        names.push_back(std::move(above.front().name));
    }
    std::string path;
    for (auto name = names.rbegin(); name != names.rend(); ++name) {
        path += "/" + *name;
    }
    return path;
}

}  // namespace imgfs
