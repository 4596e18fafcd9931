#include "fs/source/packed_state.h"

#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <new>

#include "fs/base/error.h"
#include "fs/source/zstd_context.h"

namespace imgfs {
namespace {

struct FreeContext {
    void operator()(ZSTD_CCtx* context) const { ::ZSTD_freeCCtx(context); }
};

/// Each thread keeps one: most of a short state's time would go into a new one's fresh memory.
ZSTD_CCtx* packing_context() {
    thread_local std::unique_ptr<ZSTD_CCtx, FreeContext> context;
    if (!context) {
        context.reset(::ZSTD_createCCtx());
    }
    if (!context) {
        throw std::bad_alloc();
    }
    return context.get();
}

uint64_t plain_size(ConstByteSpan packed, uint64_t limit) {
    const auto size = ::ZSTD_getFrameContentSize(packed.data(), packed.size());
    if (size > limit) {  // also where it is unknown, or no frame
        fail_damaged_index();
    }
    return size;
}

}  // namespace

Bytes pack_state(ConstByteSpan plain, int level) {
    Bytes packed(::ZSTD_compressBound(plain.size()));
    const auto size = ::ZSTD_compressCCtx(packing_context(), packed.data(), packed.size(),
                                          plain.data(), plain.size(), level);
    if (::ZSTD_isError(size) != 0) {
        throw std::bad_alloc();
    }
    packed.resize(size);
    return packed;
}

Bytes unpack_state(ConstByteSpan packed, uint64_t limit) {
    const auto size = plain_size(packed, limit);
    Bytes plain(size);
    if (::ZSTD_decompress(plain.data(), plain.size(), packed.data(), packed.size()) != size) {
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
