// Which bytes of a deflate block's history are used by what follows.
#pragma once

#include "fs/base/bytes.h"

namespace imgfs {

/// `history` with every byte zeroed that the deflate blocks in `packed`, from bit `past` of its
/// first byte on, don't refer to; as it was if `packed` holds too little of them to tell.
Bytes sparse_history(ConstByteSpan packed, unsigned past, Bytes history);

/// Packed bytes that nearly always suffice.
constexpr uint64_t kSparseLookahead = 40 * kKiB;

}  // namespace imgfs
