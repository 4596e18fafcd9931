// LogPosition: a moment of a layer's log.
#pragma once

#include "fs/store/layer_format.h"

namespace imgfs {

/// Right behind a commit, or where the log starts.
struct LogPosition {
    uint64_t end = kLogStart;
    uint64_t transaction = 0;
    uint64_t chain = 0;
    int64_t time_ns = 0;
    uint64_t data_blocks = 0;  ///< that its records up to here hold
};

}  // namespace imgfs
