// FileData: reading and writing what is in files, in whole runs and outside libext2fs' lock.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <shared_mutex>

#include "fs/view/block_map.h"

namespace imgfs {

/// Holds each inode's lock shared from the lookup of its extents to the end of a read or write,
/// alone for resize (promise 3). Runs are cached. Safe from any thread. Changes run inside the
/// commit gate, which the caller holds; nobody who calls holds fs.mutex().
class FileData {
  public:
    /// `fs` must outlive it.
    explicit FileData(ExtFilesystem& fs) : fs_(fs) {}

    /// Fewer bytes only at the end of the file.
    size_t read(ext2_ino_t number, uint64_t offset, ByteSpan out);
    /// Extends the file where needed; sets mtime and ctime. Space is taken before anything is
    /// changed.
    void write(ext2_ino_t number, uint64_t offset, ConstByteSpan bytes);
    /// Truncates or extends by a hole; what is cut off reads as zero if the file grows again. Sets
    /// mtime and ctime.
    void resize(ext2_ino_t number, uint64_t size);
    /// Forgets what is cached of an inode whose blocks or size somebody else changed or freed. May
    /// be called under fs.mutex().
    void forget(ext2_ino_t number);

  private:
    /// A part of an inode's map, and its size.
    struct Window {
        uint64_t file_size = 0;
        BlockRange range;
        std::vector<BlockRun> runs;  ///< cover the range
    };
    struct Cached {
        ext2_ino_t number;
        std::shared_ptr<const Window> window;  // shared with the reads that use it
    };
    struct Lock {
        std::shared_mutex mutex;
        size_t users = 0;  ///< who hold it or wait for it; without any, it is gone
    };
    class Hold;

    /// Some bytes of a file that lie side by side.
    struct Piece {
        uint64_t offset;
        uint64_t length;
        uint64_t on_device;  ///< 0: a hole
    };
    template <typename Use>
    void for_each_piece(const std::vector<BlockRun>& runs, uint64_t offset, uint64_t length,
                        Use use) const;

    std::shared_ptr<const Window> window(ext2_ino_t number, const BlockRange& range,
                                         uint64_t at_least);
    std::shared_ptr<const Window> cached(ext2_ino_t number, const BlockRange& range,
                                         uint64_t& epoch);
    void keep(ext2_ino_t number, std::shared_ptr<const Window> window, uint64_t epoch);

    bool overwrite(ext2_ino_t number, uint64_t offset, ConstByteSpan bytes);
    void extend(ext2_ino_t number, uint64_t offset, ConstByteSpan bytes);
    void check_readable(const std::vector<BlockRun>& runs, uint64_t offset, uint64_t length);
    void write_runs(const std::vector<BlockRun>& runs, uint64_t offset, ConstByteSpan bytes);
    void zero(const std::vector<BlockRun>& runs, uint64_t offset, uint64_t end);
    void zero_tail(ext2_ino_t number, ext2_inode_large& inode);
    void finish(ext2_ino_t number, uint64_t end);
    BlockRange blocks_of(uint64_t offset, uint64_t length) const;

    ExtFilesystem& fs_;

    std::mutex locks_mutex_;
    std::map<ext2_ino_t, Lock> locks_;  // guarded by locks_mutex_, as users is

    std::mutex cache_mutex_;
    uint64_t epoch_ = 0;        // counts what was forgotten
    std::list<Cached> recent_;  // the newest first
    std::map<ext2_ino_t, std::list<Cached>::iterator> by_number_;
};

}  // namespace imgfs
