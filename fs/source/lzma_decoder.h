// LzmaDecoder: plain bytes from the start of a unit on.
#pragma once

#include <deque>

#include "fs/source/lzma_units.h"

namespace imgfs {

/// Units up to this size may be decoded as a whole, and checked, before a byte is given out; then
/// the pass needn't decode them.
constexpr uint64_t kWholeUnit = 32 * kMiB;

/// How a unit is read; the whole stream is read in one way.
enum class LzmaMode : uint8_t {
    streamed = 0,  ///< given out as it is decoded: the index has hashes
    whole = 1      ///< decoded to its end, and checked, before any of it is given out
};

struct LzmaStart {
    LzmaPlace place;
    LzmaMode mode = LzmaMode::streamed;
};

/// A point's state: mode, then kind, one byte each; or empty, for the start of a stream.
Bytes lzma_state(LzmaMode mode, uint8_t kind);
/// EUCLEAN if the point's state can't be.
LzmaStart lzma_start(const Source& packed, const SeekPoint& point);

class LzmaDecoder final : public Decoder {
  public:
    /// `unit_memory`: what liblzma takes for the first unit; those behind it are as a rule like it.
    LzmaDecoder(std::unique_ptr<LzmaUnits> units, LzmaMode mode, uint64_t unit_memory)
        : units_(std::move(units)), mode_(mode), unit_memory_(unit_memory) {}
    void read(ByteSpan out) override;
    uint64_t memory(uint64_t length) const override;

  private:
    void next_unit();
    void load_unit();
    void read_streamed(ByteSpan out);

    const std::unique_ptr<LzmaUnits> units_;
    const LzmaMode mode_;
    const uint64_t unit_memory_;
    bool in_unit_ = false;      // of those that are streamed
    std::deque<Bytes> loaded_;  // of a whole unit, what wasn't given out yet
    size_t given_ = 0;          // of the first of these
};

std::unique_ptr<Decoder> open_lzma_units(const LzmaFormat& format, const Source& packed,
                                         const SeekPoint& point);

}  // namespace imgfs
