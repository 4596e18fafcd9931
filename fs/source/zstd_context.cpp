#include "fs/source/zstd_context.h"

#include <zstd.h>

#include <new>

#include "fs/source/zstd_frame.h"

namespace imgfs {

void ZstdContext::Free::operator()(ZSTD_DCtx_s* context) const {
    ::ZSTD_freeDCtx(context);
}

ZstdContext::ZstdContext() : context_(::ZSTD_createDCtx()) {
    if (!context_) {
        throw std::bad_alloc();
    }
    ::ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax,
                             std::countr_zero(kZstdWindowMost));
}

ZstdContext::Step ZstdContext::step(ConstByteSpan packed, ByteSpan plain) {
    ZSTD_inBuffer in{packed.data(), packed.size(), 0};
    ZSTD_outBuffer out{plain.data(), plain.size(), 0};
    const auto result = ::ZSTD_decompressStream(context_.get(), &out, &in);
    const bool damaged = ::ZSTD_isError(result) != 0;
    if (damaged) {
        message_ = ::ZSTD_getErrorName(result);
    }
    return {.taken = in.pos, .made = out.pos, .at_end = result == 0, .damaged = damaged};
}

bool ZstdContext::start(ConstByteSpan dictionary) {
    ::ZSTD_DCtx_reset(context_.get(), ZSTD_reset_session_only);
    return ::ZSTD_isError(::ZSTD_DCtx_loadDictionary(context_.get(), dictionary.data(),
                                                     dictionary.size())) == 0;
}

uint64_t ZstdContext::memory() const {
    return ::ZSTD_sizeof_DCtx(context_.get());
}

}  // namespace imgfs
