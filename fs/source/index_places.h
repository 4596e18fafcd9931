// Where the seek index of a stream is kept: finds one that is good, or a place for a new one.
#pragma once

#include <functional>

#include "fs/source/index_file.h"

namespace imgfs {

struct FoundIndex {
    IndexFile file;               ///< open for appending unless `end` is there
    std::optional<IndexEnd> end;  ///< of a complete one
};

/// A complete index from the first place that has one; else the first place that can be written and
/// has room, with what is good of an index there: another process may be at work on it; else a file
/// without a name. What is stale, foreign or damaged is replaced. `note` is told why, in one line.
FoundIndex find_index(const std::vector<std::filesystem::path>& places,
                      const IndexIdentity& identity,
                      const std::function<void(const std::string&)>& note);

}  // namespace imgfs
