// LzmaUnits: the pieces of a stream that liblzma decodes, one after the other.
#pragma once

#include <lzma.h>

#include <deque>
#include <optional>
#include <vector>

#include "fs/source/codec.h"
#include "fs/source/packed_reader.h"

namespace imgfs {

/// What liblzma may take for one decoder; more than a dictionary of 128 MiB needs. xz -9 needs half
/// of it.
constexpr uint64_t kLzmaMemory = 136 * kMiB;

constexpr uint8_t kLzmaStreamStart = 0xFF;  // else, of xz: the number of the stream's check

/// Where a unit starts, and what its format must know to start there.
struct LzmaPlace {
    uint64_t packed = 0;  ///< offset
    uint8_t kind = kLzmaStreamStart;
};

/// A unit is decoded without what stands before it: an xz block, a lzip member, or all of a .lzma
/// stream. Not for two threads at once.
class LzmaUnits {
  public:
    /// The next unit is the one at `place`. `packed` must outlive it.
    LzmaUnits(const Source& packed, const LzmaPlace& place);
    LzmaUnits(const LzmaUnits&) = delete;
    LzmaUnits& operator=(const LzmaUnits&) = delete;
    virtual ~LzmaUnits();

    /// Enters the next unit; false at the end of the stream. The one before is at its end.
    virtual bool next() = 0;

    /// Where the unit starts that next() has entered.
    const LzmaPlace& place() const { return place_; }

    /// The next bytes of the unit; fewer than asked for only at its end, and then its check agrees.
    /// EUCLEAN where they can't be decoded.
    size_t decode(ByteSpan out);

    /// Pieces of the unit from where it stands: up to its end, then true and its check agrees; or
    /// up to `most` bytes or a little more.
    bool decode_whole(uint64_t most, std::deque<Bytes>& pieces);

    const Source& packed() const { return packed_; }
    /// How far it has been read.
    uint64_t offset() const { return reader_.offset(); }
    /// What liblzma takes at most for the unit, some bytes of which were decoded.
    uint64_t memory() const;

  protected:
    /// For next(): a decoder for the unit at place_ was set up in stream_, with that result.
    void enter(lzma_ret result);
    [[noreturn]] void fail_memory(uint64_t needed) const;

    const Source& packed_;
    PackedReader reader_;
    lzma_stream stream_ = LZMA_STREAM_INIT;
    LzmaPlace place_;
    uint64_t block_memory_ = 0;  // what liblzma takes where lzma_memusage() doesn't know it

  private:
    void run();

    bool in_unit_ = false;
};

/// What a stream says about one of its units, hostile.
struct LzmaUnit {
    LzmaPlace place;
    uint64_t packed_size = 0;
    uint64_t plain_size = 0;
};

struct LzmaUnitList {
    std::vector<LzmaUnit> units;  ///< in their order, none of them empty
    bool all_checked = false;     ///< each has a checksum, of a kind that liblzma knows
};
constexpr size_t kMostListedUnits = 2'000'000;

/// A row: one of the formats that liblzma decodes.
struct LzmaFormat {
    std::string_view unit;  ///< "xz block"
    std::string_view unpacker;
    std::unique_ptr<LzmaUnits> (*units)(const Source& packed, const LzmaPlace& place);
    /// From the stream's own list, without decoding; nothing if it has none that is any good.
    std::optional<LzmaUnitList> (*list)(const Source& packed);
    std::string_view without_list;  ///< what is said then
    /// Does a checksum that liblzma knows stand behind a unit there?
    bool (*is_checked)(const LzmaPlace& place);
};

/// What liblzma takes at most to decode the unit there, found at its first byte. EUCLEAN if that is
/// damaged.
uint64_t lzma_unit_memory(const LzmaFormat& format, const Source& packed, const LzmaPlace& place);

}  // namespace imgfs
