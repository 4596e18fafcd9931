// The contract that every codec keeps.
#pragma once

#include <string>
#include <vector>

#include "fs/source/codec.h"

namespace imgfs {

/// What one pass told its sink.
struct PassRecord {
    std::vector<SeekPoint> points;
    Bytes plain;  ///< zero where skipped or lost
    struct Range {
        uint64_t begin = 0;  ///< in `plain`
        uint64_t end = 0;
    };
    std::vector<Range> unknown;    ///< what was skipped or lost
    std::vector<Range> unchecked;  ///< what the stream has no checksum for, from its start
    uint64_t skipped = 0;          ///< bytes
    uint64_t lost = 0;             ///< bytes
    uint64_t progress = 0;         ///< the last word of it
    std::vector<std::string> mismatches;
    std::vector<std::string> notes;
};

/// Checks the order of what is told. `start`: of a new pass if it is not given.
PassRecord record_pass(const Codec& codec, const Source& packed, const PassOptions& options = {},
                       const PassStart& start = {});

/// How a pass over bytes that nobody vouches for went.
struct PassOutcome {
    PassRecord record;  ///< up to where it ended
    int error = 0;      ///< that ended it before the stream's end
    std::string line;   ///< of the error
    bool cut = false;   ///< it was ended since there are more plain bytes than wanted
};

/// As record_pass(), of `most` plain bytes at most.
PassOutcome try_pass(const Codec& codec, const Source& packed, const PassOptions& options = {},
                     const PassStart& start = {}, uint64_t most = UINT64_MAX);

/// Is `bytes` what the pass found from `begin` on, as far as both go and it knows?
bool agrees(const PassRecord& record, uint64_t begin, ConstByteSpan bytes);

/// As far as the point's state must serve, of `size` plain bytes.
uint64_t segment_end(const std::vector<SeekPoint>& points, size_t number, uint64_t size);

/// A pass finds exactly `plain`; what was skipped, and every segment, decodes to it in one read and
/// in odd pieces; passes that go on from some of the points find the rest, too.
void expect_keeps_codec_contract(const Codec& codec, ConstByteSpan packed, ConstByteSpan plain,
                                 const PassOptions& options = {});

}  // namespace imgfs
