#include "fs/store/delta_state.h"

#include "fs/base/text.h"

namespace imgfs {

std::string describe_safe(const DeltaState& state) {
    return state.last_commit ? "last commit " + format_recent(*state.last_commit) + " is safe"
                             : "nothing was committed yet";
}

std::string describe_full(const DeltaState& state) {
    return "delta folder full since " +
           format_recent(state.full_since.value_or(DeltaState::Time())) + "; " +
           describe_safe(state) + "; free space and go on";
}

}  // namespace imgfs
