// Plain bytes as partitions have them, and what the real programs pack them to.
#pragma once

#include <string>

#include "fs/base/bytes.h"

namespace imgfs {

/// Words, noise and zeros in turn: compressible here, not there. The same for the same arguments.
Bytes mixed(size_t size, uint64_t seed = 7);

/// What `command` writes to stdout when it reads `plain` from stdin.
Bytes packed_by(const std::string& command, ConstByteSpan plain);

Bytes joined(Bytes first, ConstByteSpan second);

}  // namespace imgfs
