#include "fs/view/ext_difference.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <tuple>
#include <unordered_map>

#include "fs/view/file_comparison.h"
#include "fs/view/inode_names.h"

namespace imgfs {
namespace {

using Kind = FileDifference::Kind;

/// A path that only one of the states has, and the inode there.
using Paths = std::vector<std::pair<std::string, ext2_ino_t>>;

/// A differing inode that stands for the same file in both states.
bool is_same_file(const ext2_inode_large& before, const ext2_inode_large& after) {
    return before.i_generation == after.i_generation &&
           (before.i_mode & LINUX_S_IFMT) == (after.i_mode & LINUX_S_IFMT);
}

/// The names of one file.
struct FileNames {
    std::vector<std::string> kept;  ///< as they are afterwards
    std::vector<std::string> gone;
    std::vector<std::string> come;
};

class Comparison {
  public:
    Comparison(const ExtStates& states, const Progress& progress)
        : states_(states),
          differing_(differing_inodes(states, progress)),
          names_(states, differing_) {}

    std::vector<FileDifference> run() {
        for (const auto number : differing_) {
            const auto before = inode_in_use(states_.before, number);
            const auto after = inode_in_use(states_.after, number);
            if (before && after && is_same_file(*before, *after)) {
                compare({{number, *before}, {number, *after}});
                continue;
            }
            if (before) {
                add(State::before, number, gone_);
            }
            if (after) {
                add(State::after, number, come_);
            }
        }
        pair_up();
        std::ranges::sort(found_, [](const FileDifference& left, const FileDifference& right) {
            return std::tie(left.path, left.kind) < std::tie(right.path, right.kind);
        });
        return std::move(found_);
    }

  private:
    void add(State state, ext2_ino_t number, Paths& paths) {
        for (auto& path : paths_of(state, names_.places(state, number))) {
            paths.emplace_back(std::move(path), number);
        }
    }

    std::vector<std::string> paths_of(State state, const std::vector<NamePlace>& places) const {
        std::vector<std::string> paths;
        for (const auto& place : places) {
            if (auto path = names_.path(state, place)) {
                paths.push_back(std::move(*path));
            }
        }
        std::ranges::sort(paths);
        return paths;
    }

    void compare(const FilePair& files) {
        const auto names = names_of(files.after.number);
        const auto renames = std::min(names.gone.size(), names.come.size());
        auto shown = names.kept;
        for (size_t i = 0; i < names.gone.size(); ++i) {
            if (i < renames) {
                found_.push_back({Kind::renamed, names.gone[i], names.come[i]});
                shown.push_back(names.come[i]);
            } else {
                gone_.emplace_back(names.gone[i], files.after.number);
            }
        }
        for (size_t i = renames; i < names.come.size(); ++i) {
            come_.emplace_back(names.come[i], files.after.number);
        }
        show(files, shown, renames == 0 ? NameChange::none : NameChange::renamed);
    }

    /// A name is kept if its place is the same, or its path: a directory may have been replaced.
    FileNames names_of(ext2_ino_t number) {
        if (number == kRootInode) {
            return {.kept = {"/"}};
        }
        const auto before = names_.places(State::before, number);
        const auto after = names_.places(State::after, number);
        std::vector<NamePlace> kept;
        std::vector<NamePlace> gone;
        std::vector<NamePlace> come;
        std::ranges::set_intersection(before, after, std::back_inserter(kept));
        std::erase_if(kept, [&](const NamePlace& place) { return is_new(place.directory); });
        std::ranges::set_difference(before, kept, std::back_inserter(gone));
        std::ranges::set_difference(after, kept, std::back_inserter(come));
        FileNames names{.kept = paths_of(State::after, kept)};
        const auto paths_gone = paths_of(State::before, gone);
        const auto paths_come = paths_of(State::after, come);
        std::ranges::set_intersection(paths_gone, paths_come, std::back_inserter(names.kept));
        std::ranges::set_difference(paths_gone, paths_come, std::back_inserter(names.gone));
        std::ranges::set_difference(paths_come, paths_gone, std::back_inserter(names.come));
        return names;
    }

    /// Is the directory another one now, of the same number?
    bool is_new(ext2_ino_t directory) {
        if (!std::ranges::binary_search(differing_, directory)) {
            return false;
        }
        const auto [known, is_first] = new_.try_emplace(directory, false);
        if (is_first) {
            const auto before = inode_in_use(states_.before, directory);
            const auto after = inode_in_use(states_.after, directory);
            known->second = !before || !after || !is_same_file(*before, *after);
        }
        return known->second;
    }

    void show(const FilePair& files, const std::vector<std::string>& paths, NameChange change) {
        if (paths.empty()) {
            return;
        }
        const bool changed = !same_content(states_, files);
        if (changed || !same_metadata(states_, files, change)) {
            for (const auto& path : paths) {
                found_.push_back({changed ? Kind::changed : Kind::metadata, path, {}});
            }
        }
    }

    /// What is gone, and come again as another file of that name, has changed.
    void pair_up() {
        std::map<std::string, ext2_ino_t> come(come_.begin(), come_.end());
        for (const auto& [path, number] : gone_) {
            const auto found = come.find(path);
            if (found == come.end() || !show_replaced(path, number, found->second)) {
                found_.push_back({Kind::deleted, path, {}});
            } else {
                come.erase(found);
            }
        }
        for (const auto& [path, number] : come) {
            found_.push_back({Kind::added, path, {}});
        }
    }

    /// False if it is of another type now.
    bool show_replaced(const std::string& path, ext2_ino_t before, ext2_ino_t after) {
        const FilePair files{{before, states_.before.inode(before)},
                             {after, states_.after.inode(after)}};
        if ((files.before.inode.i_mode & LINUX_S_IFMT) !=
            (files.after.inode.i_mode & LINUX_S_IFMT)) {
            return false;
        }
        show(files, {path}, NameChange::none);
        return true;
    }

    const ExtStates states_;
    const std::vector<ext2_ino_t> differing_;
    const InodeNames names_;
    std::unordered_map<ext2_ino_t, bool> new_;  // what is_new() has found out
    Paths gone_;
    Paths come_;
    std::vector<FileDifference> found_;
};

}  // namespace

std::vector<FileDifference> find_differences(const DeviceStates& states, const Progress& progress) {
    ExtFilesystem before(states.before, ViewAccess::read_only);
    ExtFilesystem after(states.after, ViewAccess::read_only);
    return Comparison({before, after, states.same}, progress).run();
}

}  // namespace imgfs
