// Any bytes as a seek point.
#pragma once

#include <string_view>
#include <vector>

#include "fs/base/bytes.h"

namespace imgfs {

/// The input is a codec's number (1 byte), a point's packed offset in bits (4), the size of its
/// state (2), the state as it is before it is compressed, and the packed stream. Whatever they are,
/// reading from the point, and a pass that goes on there, end in bytes or say that they are
/// damaged.
void run_point(std::string_view target, ConstByteSpan input);

/// Real points of small streams of each codec.
std::vector<Bytes> point_seeds(std::string_view target);

}  // namespace imgfs
