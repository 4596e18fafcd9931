// Directories: the names in directories, looked up in memory and changed on the device.
#pragma once

#include <list>
#include <string>
#include <unordered_map>
#include <vector>

#include "fs/view/directory_block.h"
#include "fs/view/ext_filesystem.h"
#include "fs/view/view.h"

namespace imgfs {

/// What a name in a directory stands for.
struct NameTarget {
    ext2_ino_t inode = 0;
    uint8_t type = 0;  ///< as directory records have it; 0 if the file system doesn't say
};

/// Keeps whole directories in memory, the last ones used, so that N look-ups or insertions cost N
/// and not N². The caller holds fs.mutex(). Changes keep sizes and checksums right, and leave times
/// and link counts to the caller.
class Directories {
  public:
    explicit Directories(ExtFilesystem& fs, size_t entry_limit = 100'000);

    std::optional<NameTarget> find(ext2_ino_t directory, std::string_view name);
    /// "." and ".." first, the others by inode number: whoever reads the files in this order walks
    /// the partition forward.
    std::vector<DirectoryEntry> list(ext2_ino_t directory);
    bool empty(ext2_ino_t directory);
    /// How many of its names are directories, if the file system says so in the names.
    size_t subdirectories(ext2_ino_t directory);
    ext2_ino_t parent(ext2_ino_t directory);

    /// How many blocks insert() may take at most.
    uint64_t blocks_to_insert(ext2_ino_t directory, std::string_view name);
    void insert(ext2_ino_t directory, std::string_view name, NameTarget target);
    void remove(ext2_ino_t directory, std::string_view name);
    void set_target(ext2_ino_t directory, std::string_view name, NameTarget target);
    void set_parent(ext2_ino_t directory, ext2_ino_t parent);
    /// Gives an inode without blocks the first one.
    void make_first_block(ext2_ino_t directory, ext2_ino_t parent);

    /// To be called when the inode is freed.
    void forget(ext2_ino_t directory);

  private:
    struct Place {
        NameTarget target;
        uint32_t block = 0;  ///< of the directory
    };
    struct Hash {
        using is_transparent = void;
        size_t operator()(std::string_view text) const {
            return std::hash<std::string_view>{}(text);
        }
    };
    struct Cached {
        ext2_ino_t number = 0;
        ext2_ino_t parent = 0;
        bool indexed = false;
        size_t subdirectories = 0;
        std::unordered_map<std::string, Place, Hash, std::equal_to<>> names;
        std::vector<uint64_t> blocks;  ///< where they lie on the device
        std::vector<uint32_t> rooms;   ///< DirectoryBlock::room() of each
    };

    Cached& cached(ext2_ino_t directory);
    Cached load(ext2_ino_t directory);
    void read_records(Cached& into, uint32_t block, ByteSpan bytes);
    void evict();
    std::optional<uint32_t> block_with_room(const Cached& directory, std::string_view name) const;
    uint32_t append_block(Cached& directory);
    void drop_index(Cached& directory);
    Bytes read_block(const Cached& directory, uint32_t block);
    void write_block(const Cached& directory, uint32_t block, Bytes& bytes);

    ExtFilesystem& fs_;
    const size_t entry_limit_;
    const DirectoryFormat format_;
    std::list<Cached> recent_;  ///< the one used last is in front
    std::unordered_map<ext2_ino_t, std::list<Cached>::iterator> by_number_;
    size_t entries_ = 0;
};

}  // namespace imgfs
