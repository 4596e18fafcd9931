// Any bytes as a packed stream.
#pragma once

#include <string_view>
#include <vector>

#include "fs/base/bytes.h"

namespace imgfs {

/// Passes of the codec over these bytes end with what the contract allows; what they find, Decoders
/// and passes from any point find again, or tell of damage. Looks at the first MiB of plain bytes.
void run_stream(std::string_view codec, ConstByteSpan packed);

/// What the codec's own programs make of little, of much that is alike, and of nothing.
std::vector<Bytes> stream_seeds(std::string_view codec);

}  // namespace imgfs
