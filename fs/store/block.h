// The store's unit of change.
#pragma once

#include <array>

#include "fs/base/bytes.h"

namespace imgfs {

constexpr uint64_t kBlockSize = 4096;  ///< the last block of a device may be shorter

using Block = std::array<std::byte, kBlockSize>;

constexpr uint64_t blocks_of(uint64_t bytes) {
    return bytes / kBlockSize + (bytes % kBlockSize != 0 ? 1 : 0);
}

}  // namespace imgfs
