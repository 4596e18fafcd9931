// View: a tree of files, as a mount shows it.
#pragma once

#include <sys/stat.h>
#include <time.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fs/base/bytes.h"

namespace imgfs {

using InodeNumber = uint64_t;
constexpr InodeNumber kRootInode = 2;  // ext's; no view ever shows inode 1

struct Attributes {
    InodeNumber inode = 0;
    uint32_t generation = 0;  ///< differs each time a number is used again
    uint32_t mode = 0;        ///< type and permissions, as st_mode
    uint32_t links = 0;
    uint32_t uid = 0;
    uint32_t gid = 0;
    uint64_t device = 0;  ///< dev_t of a device node
    uint64_t size = 0;
    uint64_t sectors = 0;  ///< of 512 bytes, as st_blocks
    timespec accessed{};
    timespec modified{};
    timespec changed{};
};

/// What is set is changed. "Now" has been resolved by the caller.
struct AttributeChanges {
    std::optional<uint32_t> mode;  ///< permission bits only
    std::optional<uint32_t> uid;
    std::optional<uint32_t> gid;
    std::optional<uint64_t> size;
    std::optional<timespec> accessed;
    std::optional<timespec> modified;
    std::optional<timespec> changed;
};

/// A file, directory, symbolic link or special file to be made.
struct NewFile {
    std::string_view name;
    uint32_t mode = 0;   ///< type and permissions, before the umask
    uint32_t umask = 0;  ///< applied unless the directory has a default ACL
    uint32_t uid = 0;
    uint32_t gid = 0;              ///< a set-gid directory's group wins
    uint64_t device = 0;           ///< of a device node
    std::string_view link_target;  ///< of a symbolic link
};

struct DirectoryEntry {
    InodeNumber inode = 0;
    uint32_t type = 0;  ///< S_IFMT bits; 0 if the directory doesn't say
    std::string name;
};

struct Space {  // as statvfs
    uint64_t block_size = 0;
    uint64_t blocks = 0;
    uint64_t free_blocks = 0;
    uint64_t available_blocks = 0;  ///< to others than root
    uint64_t inodes = 0;
    uint64_t free_inodes = 0;
};

enum class XattrMode { any, create, replace };
enum class RenameMode { replace, no_replace };

/// Operations on inodes; safe from any thread. They throw system_error with the errno that the
/// system call is to return; a missing name or attribute is an empty optional, since shells ask for
/// thousands. Names are single components of 1 to 255 bytes (longer: ENAMETOOLONG), never "." or
/// "..". Permissions are not checked here. A view that can't be written answers EROFS to whatever
/// changes it. On a thread with NoWaiting all but close() and commit() may throw NotYet; then
/// nothing has changed. Once one change was made, none does any more.
class View {
  public:
    View() = default;
    View(const View&) = delete;
    View& operator=(const View&) = delete;
    virtual ~View() = default;

    virtual bool read_only() const = 0;

    virtual std::optional<Attributes> lookup(InodeNumber directory, std::string_view name) = 0;
    virtual Attributes attributes(InodeNumber inode) = 0;
    virtual std::string link_target(InodeNumber inode) = 0;
    /// All of it, "." and ".." included; a directory that is open keeps the list it was opened
    /// with.
    virtual std::vector<DirectoryEntry> entries(InodeNumber directory) = 0;
    virtual Space space() = 0;

    /// An open file lives on after its last name is gone, until the last close. One close for each
    /// open.
    virtual void open(InodeNumber inode) = 0;
    virtual void close(InodeNumber inode) = 0;
    /// Fewer than out.size() bytes only at the end of the file.
    virtual size_t read(InodeNumber inode, uint64_t offset, ByteSpan out) = 0;

    virtual std::optional<Bytes> xattr(InodeNumber inode, const std::string& name) = 0;
    virtual std::vector<std::string> xattr_names(InodeNumber inode) = 0;

    /// Once it has returned, no change throws NotYet. It may do so itself, as a change does.
    virtual void prepare_for_changes() {}
    /// Writes all of it or throws.
    virtual void write(InodeNumber inode, uint64_t offset, ConstByteSpan bytes);
    virtual Attributes change(InodeNumber inode, const AttributeChanges& changes);
    /// EEXIST if the name is there.
    virtual Attributes make(InodeNumber directory, const NewFile& file);
    virtual Attributes link(InodeNumber inode, InodeNumber directory, std::string_view name);
    virtual void unlink(InodeNumber directory, std::string_view name);
    virtual void rmdir(InodeNumber directory, std::string_view name);
    virtual void rename(InodeNumber directory, std::string_view name, InodeNumber new_directory,
                        std::string_view new_name, RenameMode mode);
    virtual void set_xattr(InodeNumber inode, const std::string& name, ConstByteSpan value,
                           XattrMode mode);
    virtual void remove_xattr(InodeNumber inode, const std::string& name);

    /// Everything that was done before the call is on stable storage when it returns. Calls that
    /// come together share one commit. Throws if that failed; then nothing can be written any more.
    virtual void commit();
    /// Why nothing can be written any more; empty while all is well.
    virtual std::string failure() const { return {}; }
};

}  // namespace imgfs
