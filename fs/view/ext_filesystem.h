// ExtFilesystem: an open libext2fs handle over a Device, and the lock that guards it.
#pragma once

#include <ext2fs/ext2fs.h>

#include <atomic>
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
    /// `device` must outlive it. Errors as make_ext_view(). Reads the superblock and the group
    /// descriptors only: handle()'s bitmaps are null until prepare_for_changes().
    ExtFilesystem(Device& device, ViewAccess access);

    /// To be called before a change, without mutex(). The first call waits until everything can be
    /// read and loads the bitmaps, which lie all over the partition; who reads meanwhile is not
    /// held up. NotYet if it can't be done now, or while another thread is at it.
    void prepare_for_changes();

    ext2_filsys handle() const { return handle_.get(); }
    Device& device() const { return device_; }
    std::mutex& mutex() { return mutex_; }
    bool read_only() const { return read_only_; }
    uint32_t block_size() const { return block_size_; }  ///< needs no lock

    /// EUCLEAN, naming the inode, if it can't be read or its checksum is wrong.
    ext2_inode_large inode(ext2_ino_t number) const;
    /// The same, as many bytes of it as fit.
    void read_inode(ext2_ino_t number, ByteSpan into) const;
    void write_inode(ext2_ino_t number, const ext2_inode_large& inode);

    /// Bitmaps, group descriptors and superblock to the device, marked clean, unchanged blocks left
    /// out. Writes nothing if nothing of them has changed.
    void flush();

    /// The most that flush() may write now, to be reserved with a change.
    uint64_t flush_bytes() const { return flush_bytes_; }  ///< needs no lock

    /// After Device::drop_uncommitted(): forgets what was not committed and goes on read-only.
    void reopen_read_only();

    /// Throws the error that `code` of a libext2fs call stands for, if it is one: "inode 12: …".
    /// NotYet of the device is thrown on, whatever libext2fs made of it.
    static void check(errcode_t code, const std::string& what);

  private:
    struct Close {
        void operator()(struct_ext2_filsys* handle) const;
    };
    using Handle = std::unique_ptr<struct_ext2_filsys, Close>;

    /// What flush() has written, or found, so that it writes only what differs.
    struct Written {
        std::vector<uint64_t> block_bitmap_hashes;  ///< by group
        std::vector<uint64_t> inode_bitmap_hashes;
        Bytes descriptors;
        Bytes superblock;
    };

    Handle open(ViewAccess access) const;
    void load_bitmaps();
    void flush_bitmaps(uint32_t group);
    void flush_descriptors();
    void flush_superblock();
    static Written written_to(ext2_filsys fs);

    Device& device_;
    RegisteredDevice registered_;
    uint32_t block_size_ = 0;
    uint64_t flush_bytes_ = 0;

    std::mutex loading_;  // held by who loads the bitmaps
    std::atomic<bool> is_loading_ = false;
    std::atomic<bool> is_prepared_ = false;

    std::mutex mutex_;
    bool read_only_;
    Handle handle_;
    Written written_;
};

}  // namespace imgfs
