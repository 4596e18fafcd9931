// The part of an indexing pass over zstd that looks at what was decoded: checksums, seek points.
#pragma once

#include <deque>

#include "fs/base/checksum.h"
#include "fs/source/codec.h"
#include "fs/source/zstd_frame.h"
#include "fs/source/zstd_repeats.h"
#include "fs/source/zstd_state.h"

namespace imgfs {

/// One block, and what libzstd decoded it to.
struct DecodedBlock {
    uint64_t packed_offset = 0;
    ConstByteSpan packed;  ///< with its header
    ConstByteSpan plain;
};

/// Is told of each frame and block in turn, and tells the sink.
class ZstdPointFinder {
  public:
    /// `packed` and `sink` must outlive it. The first frame starts at plain offset `plain`.
    ZstdPointFinder(const Source& packed, const PassOptions& options, PassSink& sink,
                    uint64_t plain);

    /// Goes on inside a frame, at a point that was told before; `behind` is what stands before it,
    /// as far as the window reaches.
    void go_on(const ZstdPlace& place, ConstByteSpan behind);

    void begin_frame(const ZstdFrame& frame, uint64_t packed_offset);
    void add_block(const DecodedBlock& block);
    /// `checksum`: the bytes behind the last block, if the frame has them.
    void end_frame(ConstByteSpan checksum, uint64_t packed_offset);
    /// The rest of the frame can't be decoded.
    /// What was told so far is all: the points in it are told.
    void end_early();
    void lose(uint64_t count, const std::string& line);

  private:
    /// The frame that is being decoded.
    struct Frame {
        ZstdFrame header;
        uint64_t packed_offset = 0;
        uint64_t start = 0;  // plain offset
        Xxh64 hash;
        ZstdTables tables;
        RepeatTracker repeats;
        PlainHistory history;
    };

    /// A seek point, while what it must keep is being found out.
    struct Candidate {
        SeekPoint point;
        ZstdPlace place = {};
        std::optional<SparseHistory> history = {};  // none: nothing is missing any more
        uint64_t marked = 0;                        // the history's, once it is complete
        uint64_t reach = 0;
        bool told = false;
        bool doubtful = false;  // invariant 3: the next sequences decide
    };

    uint64_t in_frame() const { return plain_ - frame_->start; }
    uint64_t since_point() const { return plain_ - candidates_.back().point.plain; }
    bool last_begins_job() const;
    uint64_t wanted_distance() const;
    bool is_due() const;
    void offer_point(uint64_t packed_offset);
    void add_frame_start();
    void add_candidate(uint64_t packed_offset);
    ZstdPlace present_place() const;
    void parse(const DecodedBlock& block);
    void decide_doubtful(const ZstdSections& sections);
    bool is_walking() const;
    void walk(const DecodedBlock& block, const ZstdSections& sections);
    void mark_all(uint64_t from, uint64_t size);
    bool needs_more(size_t number) const;
    void tell_complete();
    void complete(Candidate& candidate);
    void close_frame();
    [[noreturn]] void fail_rules(uint64_t packed_offset) const;

    const Source& packed_;
    const PassOptions options_;
    PassSink& sink_;
    uint64_t plain_;
    bool next_frame_due_ = false;  // bytes before it were lost
    std::optional<Frame> frame_;
    std::deque<Candidate> candidates_;     // ascending, never empty; the last that was told, too
    std::vector<ZstdSequence> sequences_;  // of the block being walked
};

}  // namespace imgfs
