// DecoderPool: open decoders, each kept where it stopped, so that who reads on needn't start again;
// and the bound of the memory that all decoders take.
#pragma once

#include <condition_variable>
#include <functional>
#include <limits>
#include <list>
#include <memory>
#include <mutex>

#include "fs/source/index_file.h"

namespace imgfs {

class DecoderPool;

/// Ends the use of memory in the pool.
struct EndUse {
    uint64_t bytes = 0;
    void operator()(DecoderPool* pool) const;
};

/// A decoder and where it stands. Of one that take() has returned, give() or its end lets others
/// that wait have its memory.
struct OpenDecoder {
    std::unique_ptr<DecoderPool, EndUse> use;  ///< the pool's own
    uint64_t packed_bit = 0;                   ///< of the point where it started
    uint64_t next_bit = 0;                     ///< that the point had
    uint64_t start = 0;                        ///< plain offset of that
    uint64_t plain = 0;                        ///< of the next byte
    IndexRecord record;                        ///< that it was last used for, without its state
    std::unique_ptr<Decoder> decoder;
};

/// Safe from any thread. Who has taken a decoder may wait for no one that may be waiting in take().
class DecoderPool {
  public:
    struct Limits {
        uint64_t most = 0;  ///< bytes of all; a decoder that needs more is used alone
        uint64_t idle = 0;  ///< bytes of those that nobody uses; one is kept in any case
    };
    /// `held` is told, one call at a time, how many bytes all of them may take; it must not use the
    /// pool.
    explicit DecoderPool(Limits limits, std::function<void(uint64_t bytes)> held = {})
        : limits_(limits), tell_held_(std::move(held)) {}

    struct Wanted {
        uint64_t packed_bit = 0;  ///< the point's
        uint64_t plain = 0;
        uint64_t end = 0;  ///< how far it will go, in plain bytes
        uint64_t next_bit = 0;
        /// One from another point will do, too, if it stands there or behind.
        uint64_t from = std::numeric_limits<uint64_t>::max();
    };
    /// Called without a lock; the decoder isn't read before take() returns it.
    using Open = std::function<OpenDecoder()>;

    /// The one that stands nearest before or at `plain`; or, where there is none, a
    /// new one from the point. Waits, first come first served, until there is memory for it; idle
    /// ones make room.
    OpenDecoder take(const Wanted& wanted, const Open& open);
    /// Those that nobody has used for longest go.
    void give(OpenDecoder decoder);

  private:
    friend struct EndUse;
    using Decoders = std::list<OpenDecoder>;

    Decoders::iterator nearest(const Wanted& wanted);
    bool has_room(uint64_t bytes) const { return used_ == 0 || used_ + bytes <= limits_.most; }
    OpenDecoder use(OpenDecoder decoder, uint64_t bytes, Decoders& gone);
    void end_use(uint64_t bytes);
    void drop_idle(uint64_t most, size_t kept, Decoders& gone);
    void tell_held() const;

    const Limits limits_;
    const std::function<void(uint64_t)> tell_held_;

    std::mutex mutex_;
    std::condition_variable room_;
    Decoders idle_;           // the latest first
    uint64_t idle_held_ = 0;  // bytes
    uint64_t used_ = 0;       // bytes of those that were taken
    uint64_t turns_ = 0;      // of those who wait: given so far
    uint64_t turn_ = 0;       // whose it is
};

}  // namespace imgfs
