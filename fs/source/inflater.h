// Inflater: raw deflate, decoded piece by piece by zlib or by ISA-L (twice as fast).
#pragma once

#include <memory>

#include "fs/base/bytes.h"

namespace imgfs {

/// ISA-L is there if it was at build time; else both are zlib.
enum class InflateEngine { zlib, fastest };

/// Not for use by two threads at once.
class Inflater {
  public:
    struct Step {
        size_t taken = 0;       ///< packed bytes
        size_t made = 0;        ///< plain bytes
        bool at_block = false;  ///< stands at the start of a deflate block, nothing held back
        bool at_end = false;    ///< of the deflate stream
        bool damaged = false;
        unsigned unused_bits = 0;   ///< of the last byte taken, when at_block
        unsigned unused_bytes = 0;  ///< taken, now or before, from behind the end, when at_end
    };

    Inflater() = default;
    Inflater(const Inflater&) = delete;
    Inflater& operator=(const Inflater&) = delete;
    virtual ~Inflater() = default;

    /// Decodes until the input is used up or the output is full. Where it is full, more output may
    /// be waiting.
    virtual Step step(ConstByteSpan packed, ByteSpan plain) = 0;

    /// Ready to go on in the middle of a stream: `bits` of `value` come before the next byte.
    virtual void resume(ConstByteSpan history, unsigned bits, unsigned value) = 0;

    /// Ready for another stream.
    void reset() { resume({}, 0, 0); }

    /// The library's word for the damage.
    virtual const char* message() const = 0;

    /// Does step() also stop at every block? Else only the end of the input can make it stop there.
    virtual bool stops_at_blocks() const = 0;
};

/// zlib stops at each block if that is wanted; ISA-L never does.
enum class Stops { where_full, at_blocks };
std::unique_ptr<Inflater> make_zlib_inflater(Stops stops);
std::unique_ptr<Inflater> make_isal_inflater();  // none if ISA-L is not there
std::unique_ptr<Inflater> make_inflater(InflateEngine engine, Stops stops);

/// gzip's CRC-32, the fastest way that is there.
uint32_t gzip_crc(ConstByteSpan bytes, uint32_t previous);

}  // namespace imgfs
