// FileData: reading and writing what is in files, in whole runs and outside libext2fs' lock.
#pragma once

#include "fs/view/block_map.h"

namespace imgfs {

/// Holds each inode's lock shared from the lookup of its extents to the end of a read or write,
/// alone for resize (promise 3). Runs are cached. Safe from any thread. Changes run inside the
/// commit gate, which the caller holds.
class FileData {
  public:
    explicit FileData(ExtFilesystem& fs);

    /// Fewer bytes only at the end of the file.
    size_t read(ext2_ino_t number, uint64_t offset, ByteSpan out);
    /// Extends the file where needed; sets mtime and ctime. Space is taken before anything is
    /// changed.
    void write(ext2_ino_t number, uint64_t offset, ConstByteSpan bytes);
    /// Truncates or extends by a hole; what is cut off reads as zero if the file grows again.
    void resize(ext2_ino_t number, uint64_t size);
    /// Forgets what is cached of an inode whose blocks somebody else changed or freed.
    void forget(ext2_ino_t number);
};

}  // namespace imgfs
