// The records of mounts: one file for each in the user's runtime folder, named by the mountpoint
// and the daemon's pid, since a daemon that still commits may not touch what the next mount at its
// mountpoint has there.
#pragma once

#include <filesystem>
#include <optional>

#include "fs/mount/control.h"

namespace imgfs {

/// /run/imgfs for root; $XDG_RUNTIME_DIR/imgfs, else /tmp/imgfs-UID, for others. Makes it (0700)
/// and throws if it is not the user's own.
std::filesystem::path runtime_folder();

/// Where the daemon listens; nobody else ever does.
std::filesystem::path socket_path(const MountRecord& record);
/// All mounts at the mountpoint (absolute) share it.
std::filesystem::path default_log(const std::string& mountpoint);

void write_record(const MountRecord& record);
/// Nothing if there is none, or none that can be understood. `alive` is not set.
std::optional<MountRecord> read_record(const std::string& mountpoint, pid_t pid);
/// Those of every mountpoint; there may be several of one, the mount that began last is there now.
std::vector<MountRecord> all_records();
/// The record and the socket; the log too if it is empty and no other mount's.
void remove_record(const MountRecord& record);

}  // namespace imgfs
