// The names that inodes have in two states of an ext file system.
#pragma once

#include <compare>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "fs/view/ext_directory.h"
#include "fs/view/inode_differences.h"

namespace imgfs {

enum class State { before, after };

/// A name and the directory it stands in.
struct NamePlace {
    ext2_ino_t directory = 0;
    std::string name;

    auto operator<=>(const NamePlace&) const = default;
};

class InodeNames {
  public:
    /// Finds all names of the `differing` inodes, which must be in order and all that differ. Any
    /// other directory that wasn't written is read once for both states. EUCLEAN if one can't be.
    InodeNames(const ExtStates& states, std::span<const ext2_ino_t> differing);

    /// Sorted.
    std::vector<NamePlace> places(State state, ext2_ino_t inode) const;

    /// "/etc/fstab"; nothing if no way leads there from the root.
    std::optional<std::string> path(State state, const NamePlace& place) const;

  private:
    using Names = std::unordered_multimap<ext2_ino_t, NamePlace>;

    void read_all_after(const ExtStates& states);
    void read_changed_before(ExtFilesystem& fs);
    /// These give the directories in it.
    std::vector<ext2_ino_t> read_after(const ExtStates& states, Directories& directories,
                                       ext2_ino_t directory);
    std::vector<ext2_ino_t> read(ExtFilesystem& fs, Directories& directories, ext2_ino_t directory,
                                 Names& names);
    bool differs(ext2_ino_t inode) const;

    std::span<const ext2_ino_t> differing_;
    std::set<ext2_ino_t> written_;  // directories whose names may not be the same in both
    Names in_both_;
    Names before_;  // and not in in_both_
    Names after_;
};

}  // namespace imgfs
