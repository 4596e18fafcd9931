// Inflater: zlib's raw inflate with an owner.
#pragma once

#include <zlib.h>

#include "fs/base/bytes.h"

namespace imgfs {

class Inflater {
  public:
    Inflater();
    Inflater(const Inflater&) = delete;
    Inflater& operator=(const Inflater&) = delete;
    ~Inflater();

    struct Step {
        size_t taken = 0;       ///< packed bytes
        size_t made = 0;        ///< plain bytes
        bool at_block = false;  ///< stands at the start of a deflate block
        bool at_end = false;    ///< of the deflate stream
        bool damaged = false;
        unsigned unused_bits = 0;  ///< of the last byte taken, when at_block
    };

    /// Decodes until the input is used up, the output is full, or a block begins (`flush` Z_BLOCK).
    Step step(ConstByteSpan packed, ByteSpan plain, int flush);

    /// Ready for another deflate stream.
    void reset();
    /// Ready to go on in the middle of one: `bits` of `value` come before the next byte.
    void resume(ConstByteSpan history, unsigned bits, unsigned value);

    /// The last 32 KiB (or less) that were decoded.
    Bytes history();

    /// zlib's word for the damage.
    const char* message() const { return stream_.msg == nullptr ? "bad data" : stream_.msg; }

  private:
    z_stream stream_{};
};

/// Deflates and inflates a seek point's history.
Bytes pack_history(ConstByteSpan history);
/// EUCLEAN if it isn't what pack_history() made.
Bytes unpack_history(ConstByteSpan packed);

}  // namespace imgfs
