// ExtentTree: the map of an ext4 inode.
#pragma once

#include "fs/view/inode_map.h"

namespace imgfs {

/// Our own, since libext2fs 1.47.0's functions for changing extents damage trees. The inode must
/// outlive it.
class ExtentTree final : public InodeMap {
  public:
    ExtentTree(ExtFilesystem& fs, ext2_ino_t number, const ext2_inode_large& inode)
        : fs_(fs), number_(number), inode_(inode) {}

    std::vector<BlockRun> runs(const BlockRange& range) const override;
    void replace(const BlockRange& range, std::span<const BlockRun> replacement,
                 MapChange& change) override;

  private:
    /// The entries of an inner node have the child's block as `physical` and no count.
    struct Node {
        uint64_t block = 0;  ///< 0: the root, in the inode
        int level = 0;       ///< 0: a leaf
        std::vector<BlockRun> entries;
    };
    struct Edit {
        BlockRange range;
        std::span<const BlockRun> replacement;
        MapChange& change;
    };

    Node root() const;
    Node child(const Node& parent, size_t index, const MapChange* change) const;
    Node parse(ConstByteSpan bytes, uint64_t block, int level) const;
    void check_entries(const Node& node) const;
    void collect(const Node& node, const BlockRange& range, std::vector<BlockRun>& found) const;

    bool edit_entries(Node& node, const Edit& edit) const;
    std::vector<BlockRun> edit_child(const Node& parent, size_t index, const Edit& edit) const;
    std::vector<BlockRun> store(const Node& node, const Edit& edit) const;
    void store_root(Node node, const Edit& edit) const;
    size_t capacity() const;
    Bytes node_bytes(const Node& node, size_t size, size_t room) const;
    std::string name() const;

    ExtFilesystem& fs_;
    ext2_ino_t number_;
    const ext2_inode_large& inode_;
};

}  // namespace imgfs
