// MapChange: a change of an inode's map that happens whole, or not at all if space runs out.
#pragma once

#include <map>
#include <vector>

#include "fs/view/block_run.h"
#include "fs/view/ext_filesystem.h"

namespace imgfs {

/// The bytes of i_block.
constexpr size_t kMapRootSize = 60;

/// Collects what a change needs; only apply() writes. Blocks that were taken are given back if it
/// ends without. The caller holds fs.mutex() all the time.
class MapChange {
  public:
    MapChange(ExtFilesystem& fs, ext2_ino_t number, ext2_inode_large& inode);
    MapChange(const MapChange&) = delete;
    MapChange& operator=(const MapChange&) = delete;
    ~MapChange();

    /// Takes free blocks for `count` of the file's from `logical` on, in as few runs as can be
    /// found near `goal`; ENOSPC.
    std::vector<BlockRun> take(uint64_t logical, uint64_t count, uint64_t goal);
    /// Takes a block for a node of the map itself.
    uint64_t take_node(uint64_t goal);
    /// Gives blocks back in apply(). EUCLEAN if they are free already.
    void give_back(uint64_t physical, uint64_t count);

    void set_node(uint64_t block, Bytes content);
    void set_root(ConstByteSpan content);
    /// The node as the change leaves it.
    Bytes node(uint64_t block) const;

    /// HalfDone if it fails.
    void apply();

  private:
    struct Range {
        uint64_t first;
        uint64_t count;
    };

    void write();
    void discard(const Range& range);
    Range find_free(uint64_t goal, uint64_t wanted) const;

    ExtFilesystem& fs_;
    ext2_ino_t number_;
    ext2_inode_large& inode_;
    std::vector<Range> taken_;
    std::vector<Range> given_back_;
    std::map<uint64_t, Bytes> nodes_;
    Bytes root_;
};

}  // namespace imgfs
