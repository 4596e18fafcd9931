// Where the seek index of a stream is kept: finds one that is good, or a place for a new one.
#pragma once

#include <sys/types.h>

#include <functional>

#include "fs/source/index_file.h"

namespace imgfs {

struct FoundIndex {
    IndexFile file;               ///< open for appending unless `end` is there
    std::optional<IndexEnd> end;  ///< of a complete one
};

struct KeepIndex {
    /// May an index that this pass makes be kept for others? One that goes on behind damage may
    /// not: who adopted its records would never hear of the damage.
    bool kept = true;
    mode_t mode = 0600;  ///< of a new file: it holds pieces of what the image holds
    /// If given, it must be kept: fails where it can't, with this as the way out.
    std::string way_out;

    /// Is a complete one read whole, however large it is? Else a large one is believed, and damage
    /// in it found where it is used.
    bool looks_through() const { return !kept || !way_out.empty(); }
};

/// A complete index from the first place that has one (of large ones, from the last); else the
/// first place that can be written and has room, with what is good of an index there: another
/// process may be at work on it; else a file without a name, as near to the first place as it can
/// be without making a folder. What is stale, foreign or damaged is replaced; who reads a complete
/// one goes on with the old file. `note` is told why, in one line.
FoundIndex find_index(const std::vector<std::filesystem::path>& places,
                      const IndexIdentity& identity, const KeepIndex& keep,
                      const std::function<void(const std::string&)>& note);

}  // namespace imgfs
