// ExtFilesystem: an open libext2fs handle over a Device, and the lock that guards it.
#pragma once

#include <ext2fs/ext2fs.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "fs/view/ext_device.h"
#include "fs/view/ext_view.h"

namespace imgfs {

/// libext2fs is not thread-safe: hold mutex() around every use of handle() and of the functions
/// here. What libext2fs writes reaches the device at once, except what flush() writes.
class ExtFilesystem {
  public:
    /// `device` must outlive it. Errors as make_ext_view(). Read/write, the bitmaps are loaded;
    /// read-only, handle()'s bitmaps are null.
    ExtFilesystem(Device& device, ViewAccess access);

    ext2_filsys handle() const { return handle_.get(); }
    Device& device() const { return device_; }
    std::mutex& mutex() { return mutex_; }
    bool read_only() const { return read_only_; }
    uint32_t block_size() const { return block_size_; }  ///< needs no lock

    /// EUCLEAN, naming the inode, if it can't be read or its checksum is wrong.
    ext2_inode_large inode(ext2_ino_t number) const;
    void write_inode(ext2_ino_t number, const ext2_inode_large& inode);

    /// Bitmaps, group descriptors and superblock to the device, marked clean, unchanged blocks left
    /// out. Writes nothing if nothing of them has changed.
    void flush();

    /// The most that flush() may write now, to be reserved with a change.
    uint64_t flush_bytes() const { return flush_bytes_; }  ///< needs no lock

    /// After Device::drop_uncommitted(): forgets what was not committed and goes on read-only.
    void reopen_read_only();

    /// Throws the error that `code` of a libext2fs call stands for, if it is one: "inode 12: …".
    static void check(errcode_t code, const std::string& what);

  private:
    struct Close {
        void operator()(struct_ext2_filsys* handle) const;
    };

    /// What flush() has written, or found, so that it writes only what differs.
    struct Written {
        std::vector<uint64_t> block_bitmap_hashes;  ///< by group
        std::vector<uint64_t> inode_bitmap_hashes;
        Bytes descriptors;
        Bytes superblock;
    };

    void open(ViewAccess access);
    void remember_written();
    void flush_bitmaps(uint32_t group);
    void flush_descriptors();
    void flush_superblock();
    /// Is the group's bitmap on the device, or not yet? `uninitialised` is its EXT2_BG_… flag.
    bool in_use(uint32_t group, uint16_t uninitialised) const;
    Bytes block_bitmap(uint32_t group) const;
    Bytes inode_bitmap(uint32_t group) const;
    ConstByteSpan descriptors() const;
    ConstByteSpan superblock() const;

    Device& device_;
    RegisteredDevice registered_;
    uint32_t block_size_ = 0;
    uint64_t flush_bytes_ = 0;

    std::mutex mutex_;
    bool read_only_;
    std::unique_ptr<struct_ext2_filsys, Close> handle_;
    Written written_;
};

}  // namespace imgfs
