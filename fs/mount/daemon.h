// A mount from the command that makes it to its end: in the background, watched over, on record.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "fs/mount/fuse_mount.h"

namespace imgfs {

/// What a job's `open` has opened; must live until `serve` returns.
struct ServedView {
    View& view;
    std::string delta_folder;  ///< for the record; empty if there is none
    /// What `imgfs status` shows besides the record (dirty bytes, last commit …). Called on another
    /// thread than serve(), while the view is served. May be empty.
    std::function<nlohmann::json()> status;
    /// Commits, and makes that a recovery point. Called as `status`.
    std::function<void(const std::string& point, const std::string& note)> seal;
};

struct MountJob {
    std::string mountpoint;  ///< as the person names it
    std::string image;       ///< for the record
    MountOptions options;    ///< a view that is read_only() is mounted so, whatever they say
    bool foreground = false;
    std::string log;  ///< empty: beside the record of the mount
    /// Opens the view, calls `serve` with it once, and closes it when that returns. Runs in the
    /// process that serves (threads may be started here, not before run_mount), with the caller's
    /// stderr until the mount answers; after that it writes to the log and its working directory is
    /// the root, so that paths it still needs must be absolute. Ctrl-C until then just ends it.
    /// What it throws is thrown by run_mount in the caller.
    std::function<void(const std::function<void(const ServedView&)>& serve)> open;
};

/// Makes the mount. In the background it returns when the mount answers; nothing that the caller
/// has open stays open in the daemon. In the foreground it returns when the mount has ended and its
/// last commit is done. Throws what went wrong: EBUSY if something of imgfs is mounted there
/// already, ENOTDIR, ENOENT and the like about the mountpoint, whatever `open` throws, and, in the
/// foreground, a failed last commit. SIGTERM, SIGINT and SIGHUP unmount (lazily if it is in use)
/// and commit.
void run_mount(const MountJob& job);

}  // namespace imgfs
