// An inode held open by its place, never by a path that could lead elsewhere meanwhile.
#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>

#include "fs/base/fd.h"
#include "sync/entry.h"

namespace imgsync {

using imgfs::Fd;

/// The mount that something is seen through: a bind mount has the device of what is around it.
struct Place {
    uint64_t device = 0;
    uint64_t mount = 0;
    bool operator==(const Place&) const = default;
};
/// `fd` may be opened with O_PATH; `path` is for errors.
Place place_of(int fd, const std::string& path);

/// What became of setting attributes.
struct SetResult {
    bool changed = false;
    bool not_permitted = false;  ///< what only root may do was left as it is
    bool lacks_acl = false;      ///< couldn't be stored; the mode has no group bits instead
    std::vector<std::string> problems = {};  ///< a line for each xattr that can't be stored there
};

/// Any inode: symlinks are not followed, devices and fifos not opened (O_PATH). Needs /proc.
class Inode {
  public:
    /// `path` is for errors. Nothing if there is no such name.
    static std::optional<Inode> find(int directory, const std::string& name,
                                     const std::string& path);
    /// The file behind a descriptor that stays the caller's.
    static Inode of_open_file(int fd, const std::string& path);
    /// Takes any open descriptor.
    Inode(Fd fd, std::string path);

    const struct stat& status() const { return status_; }
    bool is_directory() const { return S_ISDIR(status_.st_mode); }
    bool is_file() const { return S_ISREG(status_.st_mode); }
    bool is_same(const struct stat& other) const {
        return status_.st_ino == other.st_ino && status_.st_dev == other.st_dev;
    }
    int fd() const { return fd_.get(); }
    const std::string& path() const { return path_; }

    /// All that makes it; `name` and `id` are left to the caller.
    Entry entry() const;
    Attributes attributes() const;

    /// Opens what it is for reading; symlinks can't be.
    Fd open_for_reading() const;
    void link_as(int directory, const std::string& name) const;

    /// Makes mode, owners, xattrs, ACLs and mtime those wanted, as far as this user may and the
    /// file system can.
    SetResult set(const Attributes& wanted);

  private:
    void refresh();
    bool set_owners(const Attributes& wanted);
    void set_xattrs(const std::vector<Xattr>& wanted, SetResult& result);
    bool take_xattr_result(int returned, const std::string& name, SetResult& result);

    Fd fd_;
    std::string path_;  // for errors
    std::string link_;  // /proc/self/fd/N: leads to this very inode
    struct stat status_ {};
};

Kind kind_of(mode_t mode);
Time modified_of(const struct stat& status);
Time changed_of(const struct stat& status);

}  // namespace imgsync
