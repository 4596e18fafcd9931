// The records of mounts: one file for each in the user's runtime folder, named by the mountpoint.
#pragma once

#include <filesystem>
#include <optional>

#include "fs/mount/control.h"

namespace imgfs {

/// /run/imgfs for root; $XDG_RUNTIME_DIR/imgfs, else /tmp/imgfs-UID, for others. Makes it (0700)
/// and throws if it is not the user's own.
std::filesystem::path runtime_folder();

/// Where what belongs to the mountpoint (absolute) lies.
struct RecordPaths {
    std::filesystem::path record;
    std::filesystem::path socket;
    std::filesystem::path log;
};
RecordPaths record_paths(const std::string& mountpoint);

void write_record(const MountRecord& record);
/// Nothing if there is none, or none that can be understood. `alive` is not set.
std::optional<MountRecord> read_record(const std::filesystem::path& path);
/// The record and the socket; the log too if it is empty.
void remove_record(const std::string& mountpoint);

}  // namespace imgfs
