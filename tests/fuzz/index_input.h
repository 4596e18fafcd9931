// Any bytes as a seek index.
#pragma once

#include <string_view>
#include <vector>

#include "fs/base/bytes.h"

namespace imgfs {

/// With this file in the place of its index, a stream gives its plain bytes or tells of damage.
/// Under right checksums, as one who forges an index would leave it, every record and end that
/// is taken keeps the invariants of INDEX.md, and reading ends.
void run_index(std::string_view target, ConstByteSpan index);

/// Complete indexes of small streams.
std::vector<Bytes> index_seeds(std::string_view target);

}  // namespace imgfs
