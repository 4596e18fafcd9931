// Makes the content of a target directory equal to a source's, here or on another machine.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "sync/connection.h"
#include "sync/protocol.h"

namespace imgsync {

struct PushSummary {
    uint64_t entries = 0;     ///< names in the source
    uint64_t file_bytes = 0;  ///< that the source's files have
    uint64_t bytes_read = 0;  ///< of the source's files
    uint64_t bytes_sent = 0;  ///< over the connection, everything counted
    uint64_t bytes_received = 0;
    uint64_t bytes_saved = 0;  ///< file_bytes that didn't have to be sent
    uint64_t files_sent = 0;
    uint64_t problems = 0;  ///< not transferred
    uint64_t vanished = 0;  ///< gone before they were read
    TargetCounts target;
};

struct PushOptions {
    std::string source;
    std::string target;
    RemoteEnd remote = {};
    bool delete_extra = false;
    bool dry_run = false;
    bool checksum = false;    ///< content decides, not size and time
    bool list_items = false;  ///< on_item is called
    bool default_excludes = true;
    std::optional<bool> one_file_system = {};  ///< nothing: only onto an imgfs mount
    /// Files that changed since then are compared by content even if size and time are equal;
    /// nothing: 2 s before the push.
    std::optional<Time> unsure_since = {};
    std::vector<std::string> excludes = {};  ///< rsync's patterns
    int interrupt = -1;                      ///< readable: stop, ECANCELED. Must outlive the push.

    /// Any thread, one call at a time.
    std::function<void(const std::string& line)> on_problem = {};
    std::function<void(const Item& item)> on_item = {};
    /// Now and then, on the thread of push().
    std::function<void(const PushSummary& so_far)> on_progress = {};
};

/// When it returns, everything but what the summary counts as problems and vanished is durable at
/// the target. Fails with ECONNRESET or EPROTO if the connection was the fault, EBUSY if another
/// push works on the target. Whenever it fails, each file of the target is the old or the new one.
PushSummary push(const PushOptions& options);

/// As push(), to whoever serves at the other end of `socket`; options.remote only tells whether
/// the target is on this machine.
PushSummary push_through(int socket, const PushOptions& options);

/// The contents of directories that only a running system has, if `source` is the root of one.
std::vector<std::string> root_excludes(const std::string& source);

}  // namespace imgsync
