// DeltaState: how a delta is, for people.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace imgfs {

struct DeltaState {
    using Time = std::chrono::system_clock::time_point;

    bool exists = false;  ///< false: the image as saved
    uint64_t commits = 0;
    uint64_t stored_bytes = 0;    ///< size of the layer files
    uint64_t unsealed_bytes = 0;  ///< of the open layer, if it has a commit
    std::optional<Time> last_commit;
    uint64_t layers = 0;
    /// When space was first refused and since when none has been got.
    std::optional<Time> full_since;
};

/// "last commit 09:14:05 is safe".
std::string describe_safe(const DeltaState& state);

/// "delta folder full since 09:14:07; last commit 09:14:05 is safe; free space and go on".
std::string describe_full(const DeltaState& state);

}  // namespace imgfs
