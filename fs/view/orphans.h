// Orphans: files deleted while they are open, and how many times each file is open.
#pragma once

#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "fs/view/ext_filesystem.h"

namespace imgfs {

/// A deleted file that is open keeps its inode and blocks in memory and on the device, but is free
/// in every commit (promise 3): hide() frees it before a commit is cut, show() takes it back right
/// after. The caller holds fs.mutex(), from hide() to show() without a break.
class Orphans {
  public:
    explicit Orphans(ExtFilesystem& fs) : fs_(fs) {}

    /// False if the file is deleted and being released: that can't be stopped.
    bool open(ext2_ino_t number);
    /// True if that was the last close of a deleted file, which must now be released.
    bool close(ext2_ino_t number);

    /// The inode has lost its last name. True if it is open; if not, it must now be released.
    bool add(ext2_ino_t number);
    void remove(ext2_ino_t number) { numbers_.erase(number); }

    void hide();
    void show();

    /// The last commit is all there is: no deleted file is in it.
    void forget_all() { numbers_.clear(); }

  private:
    struct Run {
        blk64_t first = 0;
        blk_t count = 0;
    };
    struct Hidden {
        ext2_ino_t number = 0;
        bool is_directory = false;
        Bytes raw;  ///< the inode
        std::vector<Run> runs;
    };

    void mark(const Hidden& hidden, int used);
    std::vector<Run> blocks_of(ext2_ino_t number) const;

    ExtFilesystem& fs_;
    std::unordered_map<ext2_ino_t, uint64_t> open_counts_;
    std::unordered_set<ext2_ino_t> numbers_;
    std::vector<Hidden> hidden_;
};

}  // namespace imgfs
