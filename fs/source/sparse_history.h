// Which bytes of a deflate block's history are used by what follows.
#pragma once

#include <memory>

#include "fs/source/inflater.h"

namespace imgfs {

/// Not for use by two threads at once. Keeps what it needs from one history to the next: fresh
/// memory would cost as much as the rest.
class HistorySieve {
  public:
    HistorySieve();

    /// `history` with every byte zeroed that the deflate blocks in `packed`, from bit `past` of its
    /// first byte on, don't refer to; as it was if `packed` holds too little of them to tell.
    Bytes sparse(ConstByteSpan packed, unsigned past, Bytes history);

  private:
    bool decode_start(ConstByteSpan packed, unsigned past, ConstByteSpan history, Bytes& plain);

    std::unique_ptr<Inflater> inflater_;
    Bytes labels_;
    Bytes plain_;
    Bytes low_;
    Bytes high_;
};

/// Packed bytes that nearly always suffice.
constexpr uint64_t kSparseLookahead = 40 * kKiB;

}  // namespace imgfs
