// RecoveryPoint: a state of a delta that has a name and a time.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "fs/store/layer_list.h"

namespace imgfs {

struct RecoveryPoint {
    std::string name;
    std::string note;
    std::chrono::system_clock::time_point time;
    uint64_t bytes = 0;  ///< of the layer that it added
};

/// Of a point that is to be made.
struct NewPoint {
    std::string name;
    std::string note = {};  ///< up to kLongestNote bytes
};
constexpr size_t kLongestNote = 4096;

/// Times as files have them: ns since 1970, UTC.
int64_t now_ns();
std::chrono::system_clock::time_point time_of(int64_t since_1970_ns);

/// How many layers, from the oldest on, make the state `at`: a point's name, "base" for none, or a
/// date (2026-11-20) for the newest point not later than the end of that local day. ENOENT if there
/// is none.
size_t layers_at(const LayerList& list, const std::string& at, const std::string& folder);

/// EINVAL unless it has a name that a point may have, EEXIST if one has it.
void check_new_point(const LayerList& list, const NewPoint& point);

}  // namespace imgfs
