// Bytes of a seek point's state, compressed for the index.
#pragma once

#include "fs/source/codec.h"

namespace imgfs {

/// `level`: of zstd.
Bytes pack_state(ConstByteSpan plain, int level = 3);

/// EUCLEAN if it isn't what pack_state() made, or of more than `limit` bytes.
Bytes unpack_state(ConstByteSpan packed, uint64_t limit);

/// The first `most` bytes or all of what unpack_state() would give, and its size.
struct StateStart {
    Bytes bytes;
    uint64_t size = 0;
};
StateStart unpack_state_start(ConstByteSpan packed, uint64_t limit, size_t most);

/// "the seek index is damaged …", EUCLEAN: for states that say what can't be.
[[noreturn]] void fail_damaged_index();

/// fail_damaged_index() if the point's packed place isn't in the stream.
void check_inside(const Source& packed, const SeekPoint& point);

}  // namespace imgfs
