#include "fs/source/packed_state.h"

#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <new>

#include "fs/base/error.h"
#include "fs/source/zstd_buffer.h"
#include "fs/source/zstd_context.h"

namespace imgfs {
namespace {

uint64_t plain_size(ConstByteSpan packed, uint64_t limit) {
    const auto size = ::ZSTD_getFrameContentSize(packed.data(), packed.size());
    if (size > limit) {  // also where it is unknown, or no frame
        fail_damaged_index();
    }
    return size;
}

}  // namespace

Bytes pack_state(ConstByteSpan plain, int level) {
    Bytes packed(zstd_pack_bound(plain.size()));
    packed.resize(zstd_pack(plain, packed, level).value());
    return packed;
}

Bytes unpack_state(ConstByteSpan packed, uint64_t limit) {
    Bytes plain(plain_size(packed, limit));
    if (!zstd_unpack(packed, plain)) {
        fail_damaged_index();
    }
    return plain;
}

StateStart unpack_state_start(ConstByteSpan packed, uint64_t limit, size_t most) {
    StateStart start{.bytes = {}, .size = plain_size(packed, limit)};
    start.bytes.resize(std::min<uint64_t>(most, start.size));
    ZstdContext context;
    if (context.step(packed, start.bytes).made != start.bytes.size()) {
        fail_damaged_index();
    }
    return start;
}

void fail_damaged_index() {
    fail(EUCLEAN, "the seek index is damaged; remove it, it will be made again");
}

void check_inside(const Source& packed, const SeekPoint& point) {
    if (point.packed_bit / 8 >= packed.size()) {
        fail_damaged_index();
    }
}

}  // namespace imgfs
