// ExtFilesystem: an open libext2fs handle over a Device, and the lock that guards it.
#pragma once

#include <ext2fs/ext2fs.h>

#include <memory>
#include <mutex>

#include "fs/store/device.h"
#include "fs/view/ext_view.h"

namespace imgfs {

/// libext2fs is not thread-safe: hold mutex() around every use of handle() and of the functions
/// here. What libext2fs writes reaches the device at once, except what flush() writes.
class ExtFilesystem {
  public:
    /// `device` must outlive it. Errors as make_ext_view().
    ExtFilesystem(Device& device, ViewAccess access);

    ext2_filsys handle() const { return handle_.get(); }
    Device& device() const { return device_; }
    std::mutex& mutex() { return mutex_; }
    bool read_only() const { return read_only_; }
    uint32_t block_size() const { return handle_->blocksize; }

    /// EUCLEAN, naming the inode, if it can't be read or its checksum is wrong.
    ext2_inode_large inode(ext2_ino_t number) const;
    void write_inode(ext2_ino_t number, const ext2_inode_large& inode);

    /// Bitmaps, group descriptors and superblock to the device, marked clean, unchanged blocks left
    /// out.
    void flush();

    /// Throws the error that `code` of a libext2fs call stands for, if it is one: "inode 12: …".
    static void check(errcode_t code, const std::string& what);

  private:
    struct Close {
        void operator()(struct_ext2_filsys* handle) const;
    };

    Device& device_;
    bool read_only_;
    std::mutex mutex_;
    std::unique_ptr<struct_ext2_filsys, Close> handle_;
};

}  // namespace imgfs
