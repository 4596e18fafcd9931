// DecoderPool: open decoders, each kept where it stopped, so that who reads on needn't start again.
#pragma once

#include <list>
#include <memory>
#include <mutex>

#include "fs/source/index_file.h"

namespace imgfs {

/// A decoder and where it stands.
struct OpenDecoder {
    uint64_t packed_bit = 0;  ///< of the point where it started
    uint64_t plain = 0;       ///< of the next byte
    std::unique_ptr<Decoder> decoder;
    IndexRecord record;   ///< that it was last used for, without its state
    uint64_t memory = 0;  ///< bytes that it holds in the pool
};

/// Safe from any thread.
class DecoderPool {
  public:
    /// `most` bytes are held, by one decoder in any case.
    explicit DecoderPool(uint64_t most) : most_(most) {}

    /// The one from that point that stands nearest before or at `plain`; without a decoder if there
    /// is none.
    OpenDecoder take(uint64_t packed_bit, uint64_t plain);
    /// Those that nobody has used for longest go.
    void give(OpenDecoder decoder);

  private:
    const uint64_t most_;
    std::mutex mutex_;
    std::list<OpenDecoder> decoders_;  // the latest first
    uint64_t held_ = 0;                // bytes
};

}  // namespace imgfs
