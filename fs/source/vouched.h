// Vouched: what the checksums of a compressed stream say of some of its plain bytes.
#pragma once

#include <cstdint>
#include <functional>

namespace imgfs {

enum class Vouched {
    yes,      ///< they agree
    not_yet,  ///< the indexing pass, which checks them, hasn't ended, or not well
    no        ///< some of the bytes have none
};

/// Of the plain bytes [begin, end). Safe from any thread; never waits.
using Vouching = std::function<Vouched(uint64_t begin, uint64_t end)>;

}  // namespace imgfs
