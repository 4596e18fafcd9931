// Talking to the daemons of mounts: what is mounted, how it is, sync, umount.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace imgfs {

/// What is known of one mount of this user, alive or ended.
struct MountRecord {
    std::string mountpoint;  ///< absolute, without symbolic links
    std::string image;
    std::string delta_folder;
    std::string log;
    pid_t pid = 0;
    bool read_only = false;
    std::chrono::system_clock::time_point started;
    bool alive = false;    ///< its daemon answers
    bool mounted = false;  ///< it is what stands at the mountpoint
    std::optional<std::chrono::system_clock::time_point> ended;
    std::string error;  ///< why it ended or what its last commit failed with; empty if all is well
};

/// All mounts of this user, and those that ended badly since they were last looked at: an ended
/// record is forgotten by this call.
std::vector<MountRecord> known_mounts();

/// The mount at `mountpoint` (as a person names it; it may be dead, or unreadable), the last one if
/// there were several. Fails with ENOENT, saying so, if there is no record of it.
MountRecord find_mount(const std::string& mountpoint);

/// After a plain umount(8) a daemon goes on until its last commit is safe: waits for it, `limit` at
/// most, if there is one that keeps its changes in `delta_folder`.
void wait_for_ending_mount(const std::filesystem::path& delta_folder, std::chrono::seconds limit);

/// The living mount of this user that changes the delta in that folder, if there is one.
std::optional<MountRecord> writing_mount(const std::filesystem::path& delta_folder);

/// Asks the daemon: "status" (what MountJob's status callback says, and as "failure" why nothing
/// can be written any more), "sync" (commits), or {"verb": "seal", "point": NAME, "note": TEXT}
/// (commits, and makes that a recovery point). Throws what the daemon reports, with its errno;
/// ECONNREFUSED if it is dead.
nlohmann::json request(const MountRecord& record, const std::string& verb);

/// Commits, unmounts, waits for the daemon's end. Throws EBUSY if files there are open (it stays
/// mounted; everything is committed), and the last commit's failure (then it is unmounted all the
/// same). A mount whose daemon is dead is just removed, and what is on record about its end thrown.
void unmount(const MountRecord& record);

}  // namespace imgfs
