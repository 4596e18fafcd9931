#include "fs/source/zstd_buffer.h"

#include <zstd.h>
#include <zstd_errors.h>

#include <memory>
#include <new>

namespace imgfs {
namespace {

struct FreeContext {
    void operator()(ZSTD_CCtx* context) const { ::ZSTD_freeCCtx(context); }
    void operator()(ZSTD_DCtx* context) const { ::ZSTD_freeDCtx(context); }
};

/// Each thread keeps its own: most of a short buffer's time would go into a new one's fresh memory.
template <typename Context>
Context* kept_context(Context* (*create)()) {
    thread_local std::unique_ptr<Context, FreeContext> context;
    if (!context) {
        context.reset(create());
    }
    if (!context) {
        throw std::bad_alloc();
    }
    return context.get();
}

}  // namespace

std::optional<size_t> zstd_pack(ConstByteSpan plain, ByteSpan out, int level) {
    const auto size = ::ZSTD_compressCCtx(kept_context(::ZSTD_createCCtx), out.data(), out.size(),
                                          plain.data(), plain.size(), level);
    if (::ZSTD_isError(size) == 0) {
        return size;
    }
    if (::ZSTD_getErrorCode(size) != ZSTD_error_dstSize_tooSmall) {
        throw std::bad_alloc();
    }
    return std::nullopt;
}

size_t zstd_pack_bound(size_t plain_size) {
    return ::ZSTD_compressBound(plain_size);
}

bool zstd_unpack(ConstByteSpan packed, ByteSpan out) {
    return ::ZSTD_decompressDCtx(kept_context(::ZSTD_createDCtx), out.data(), out.size(),
                                 packed.data(), packed.size()) == out.size();
}

}  // namespace imgfs
