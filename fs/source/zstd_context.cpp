#include "fs/source/zstd_context.h"

#include <zstd.h>

#include <array>
#include <mutex>
#include <new>

#include "fs/source/zstd_frame.h"

namespace imgfs {
namespace {

// Who makes room for a decoder ends an idle one first, and its context serves the new one.
constexpr size_t kMostIdle = 2;
constexpr uint64_t kLargestIdle = 4 * kMiB;  // the usual window is of 2 MiB

}  // namespace

/// Those that nobody uses: a random read spends a sixth of its time on a new one's fresh memory.
class ZstdContext::Idle {
  public:
    static Idle& contexts() {
        static constinit Idle idle;
        return idle;
    }

    /// Null if there is none.
    Owned take() {
        const std::lock_guard lock(mutex_);
        return Owned(count_ == 0 ? nullptr : contexts_[--count_]);
    }

    /// Without its dictionary.
    void give(Owned context) noexcept {
        ::ZSTD_DCtx_reset(context.get(), ZSTD_reset_session_and_parameters);
        const std::lock_guard lock(mutex_);
        if (count_ < kMostIdle && ::ZSTD_sizeof_DCtx(context.get()) <= kLargestIdle) {
            contexts_[count_++] = context.release();
        }
    }

  private:
    std::mutex mutex_;
    std::array<ZSTD_DCtx_s*, kMostIdle> contexts_{};  // no owners: they live as long as the program
    size_t count_ = 0;
};

void ZstdContext::Free::operator()(ZSTD_DCtx_s* context) const {
    ::ZSTD_freeDCtx(context);
}

ZstdContext::ZstdContext() : context_(Idle::contexts().take()) {
    if (!context_) {
        context_.reset(::ZSTD_createDCtx());
    }
    if (!context_) {
        throw std::bad_alloc();
    }
    ::ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax,
                             std::countr_zero(kZstdWindowMost));
}

ZstdContext::~ZstdContext() {
    Idle::contexts().give(std::move(context_));
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

std::optional<size_t> ZstdContext::decode(ConstByteSpan frame, ConstByteSpan dictionary,
                                          ByteSpan plain) {
    const auto made =
        ::ZSTD_decompress_usingDict(context_.get(), plain.data(), plain.size(), frame.data(),
                                    frame.size(), dictionary.data(), dictionary.size());
    return ::ZSTD_isError(made) != 0 ? std::nullopt : std::optional(made);
}

bool ZstdContext::start(ConstByteSpan dictionary) {
    ::ZSTD_DCtx_reset(context_.get(), ZSTD_reset_session_only);
    return ::ZSTD_isError(::ZSTD_DCtx_loadDictionary(context_.get(), dictionary.data(),
                                                     dictionary.size())) == 0;
}

}  // namespace imgfs
