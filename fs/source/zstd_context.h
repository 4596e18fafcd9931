// ZstdContext: libzstd's decoder, which is given a stream piece by piece.
#pragma once

#include <memory>
#include <optional>

#include "fs/base/bytes.h"

struct ZSTD_DCtx_s;

namespace imgfs {

/// Not for two threads at once.
class ZstdContext {
  public:
    ZstdContext();
    ~ZstdContext();
    ZstdContext(const ZstdContext&) = delete;
    ZstdContext& operator=(const ZstdContext&) = delete;

    struct Step {
        size_t taken = 0;     ///< packed bytes
        size_t made = 0;      ///< plain bytes
        bool at_end = false;  ///< of a frame, and all of it was given out
        bool damaged = false;
    };

    /// Until the input is used up or the output is full. Input is kept where a block isn't whole.
    Step step(ConstByteSpan packed, ByteSpan plain);

    /// What comes next is a frame's header. A dictionary (none if empty) is copied and serves until
    /// the next start(). False if libzstd refuses it.
    bool start(ConstByteSpan dictionary);

    /// Plain bytes of a whole frame, or nothing if it is damaged or has more than fit. The
    /// dictionary isn't copied.
    std::optional<size_t> decode(ConstByteSpan frame, ConstByteSpan dictionary, ByteSpan plain);

    /// The library's word for the damage that step() met.
    const char* message() const { return message_; }

  private:
    struct Free {
        void operator()(ZSTD_DCtx_s* context) const;
    };
    using Owned = std::unique_ptr<ZSTD_DCtx_s, Free>;
    class Idle;

    Owned context_;
    const char* message_ = "";
};

}  // namespace imgfs
