// DecodedSource: the plain bytes of a compressed stream, at random, while it is being indexed and
// afterwards.
#pragma once

#include "fs/source/decoder_pool.h"
#include "fs/source/index_builder.h"
#include "fs/source/read_ahead.h"
#include "fs/source/segment_cache.h"

namespace imgfs {

struct DecodedOptions {
    uint64_t cache_size = 256 * kMiB;
    PassOptions pass;
    PassReports reports;
};

/// Decodes from the seek point before what is read up to the end of the 64 KiB piece that holds it,
/// checks each piece's hash, and keeps what it decoded in a cache. A reader that goes forward has
/// the next segments decoded on other threads. Until the pass has ended, bound() is a number that
/// no stream reaches.
///
/// Memory: `cache_size` + 96 MiB for the whole program, whatever the image's size. Beside the cache
/// stand the pass (kPassMemory, 56 MiB), decoders (16), two contexts that zstd keeps (8), and the
/// program, its threads' stacks and buffers (16). Decoders that need more, and a pass that needs
/// more, take it from the cache: the pass all but room for one segment (a quarter of it, at most 32
/// MiB), decoders half; they wait for one another where that isn't enough. What one decoder and the
/// pass need must be there: streams with large windows can go over the bound. The pass over zstd
/// needs twice the window and 28 MiB, with --long=27 284 MiB. A decoder needs what it decodes at
/// once, packed and plain, and what is kept at its point: as a rule some 50 MiB; but where that
/// can't be done, up to twice the window and 32 MiB. One of xz, lzma and lzip needs the dictionary
/// and 32 MiB.
class DecodedSource final : public Source {
  public:
    /// `index` belongs to the stream. If it isn't complete, the pass runs behind its readers'
    /// backs.
    DecodedSource(std::unique_ptr<Source> packed, const Codec& codec,
                  std::unique_ptr<SeekIndex> index, const DecodedOptions& options);

    uint64_t size() const override { return index_->size(); }
    uint64_t bound() const override;
    void settle() const override { index_->size(); }
    std::string place(uint64_t offset) const override;

  private:
    void read_inside(uint64_t offset, ByteSpan out) const override;
    /// What the cache holds as one: an index record's range, or a part of a very long one.
    struct Segment {
        SeekIndex::Range range;
        uint64_t begin = 0;
        uint64_t end = 0;
        bool afresh = false;  // its decoder must not come from a point before it
    };
    Segment segment_of(const SeekIndex::Range& range, uint64_t offset) const;
    ConstByteSpan decoded(const Segment& segment, CachedSegment& cached, uint64_t length,
                          uint64_t step) const;
    ConstByteSpan decoded_in_steps(const Segment& segment, CachedSegment& cached, uint64_t length,
                                   uint64_t step) const;
    bool extend(const Segment& segment, OpenDecoder& at, uint64_t plain, ByteSpan out) const;
    OpenDecoder decoder_at(const Segment& segment, uint64_t plain) const;
    OpenDecoder open(const SeekIndex::Range& range) const;
    SeekIndex::Range range_at(uint64_t offset) const;
    void check(const IndexRecord& record, uint64_t plain, ConstByteSpan bytes) const;
    uint64_t next_run(uint64_t offset) const;
    void fetch(uint64_t offset) const;

    const std::unique_ptr<Source> packed_;
    const Codec& codec_;
    const std::unique_ptr<SeekIndex> index_;
    const uint64_t longest_segment_;
    const uint64_t run_;
    mutable SegmentCache cache_;
    mutable DecoderPool decoders_;
    mutable ReadAhead read_ahead_;
    std::unique_ptr<IndexBuilder> builder_;  // none if the index was complete
};

}  // namespace imgfs
