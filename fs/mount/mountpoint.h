// Mountpoints: what may be mounted over, what is mounted there, unmounting.
#pragma once

#include <optional>
#include <string>

namespace imgfs {

struct MountedAt {
    std::string device;  ///< "0:52", as in /sys/class/bdi
    std::string type;    ///< "fuse.imgfs"
    std::string source;
};

/// The topmost mount exactly at `path` (absolute, no symbolic links); asks no file system.
std::optional<MountedAt> mounted_at(const std::string& path);

/// Is what is mounted there the rest of a daemon that died?
bool is_dead_mount(const std::string& path);

/// The path to mount at: absolute, no symbolic links. Throws, with a line for a person: ENOENT,
/// ENOTDIR, EACCES, EBUSY if an imgfs mount is there already, ENOTCONN if the rest of a dead one
/// is.
std::string checked_mountpoint(const std::string& named);

/// As far as the path can be resolved when what is mounted there may be dead.
std::string absolute_mountpoint(const std::string& named);

enum class Unmount { if_unused, lazily };

/// As root by umount2(2), else by fusermount3. Throws EBUSY, naming the mountpoint, if it is in
/// use and stays so for a second.
void unmount_path(const std::string& mountpoint, Unmount how);

/// Throws, for a person, if an ordinary user can't mount here for want of fusermount3.
void check_may_mount();

}  // namespace imgfs
