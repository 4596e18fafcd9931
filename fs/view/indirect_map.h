// IndirectMap: the map of an ext2 or ext3 inode.
#pragma once

#include <string>
#include <unordered_set>

#include "fs/view/inode_map.h"

namespace imgfs {

/// The inode must outlive it.
class IndirectMap final : public InodeMap {
  public:
    IndirectMap(ExtFilesystem& fs, ext2_ino_t number, const ext2_inode_large& inode);

    std::vector<BlockRun> runs(const BlockRange& range) const override;
    void replace(const BlockRange& range, std::span<const BlockRun> replacement,
                 MapChange& change) override;

    /// The blocks that a file can have.
    static uint64_t most_blocks(uint32_t block_size);

  private:
    /// The blocks of the file below one entry: a block of data at level 0, a node else.
    struct Slot {
        uint64_t first = 0;
        int level = 0;
        uint32_t block = 0;  ///< 0: a hole
    };
    struct Walk {
        BlockRange range;
        std::vector<BlockRun> found = {};
        std::unordered_set<uint32_t> nodes = {};  ///< a hostile map may go in circles
    };
    struct Edit {
        BlockRange range;
        std::span<const BlockRun> replacement;
        MapChange& change;
    };

    std::vector<Slot> root_slots() const;
    uint64_t blocks_below(int level) const;
    Slot child(const Slot& node, ConstByteSpan content, uint64_t index) const;
    uint32_t checked(uint32_t block) const;
    void collect(const Slot& slot, Walk& walk) const;
    uint32_t edit_slot(const Slot& slot, const Edit& edit) const;
    std::string name() const;

    ExtFilesystem& fs_;
    ext2_ino_t number_;
    const ext2_inode_large& inode_;
    uint64_t fan_out_;  ///< entries of a node
};

}  // namespace imgfs
