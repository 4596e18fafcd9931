// The contract that every codec keeps.
#pragma once

#include <string>
#include <vector>

#include "fs/source/codec.h"

namespace imgfs {

/// What one pass told its sink.
struct PassRecord {
    std::vector<SeekPoint> points;
    Bytes plain;            ///< zero where skipped or lost
    uint64_t skipped = 0;   ///< bytes
    uint64_t lost = 0;      ///< bytes
    uint64_t progress = 0;  ///< the last word of it
    std::vector<std::string> mismatches;
    std::vector<std::string> notes;
};

/// Checks the order of what is told. `start`: of a new pass if it is not given.
PassRecord record_pass(const Codec& codec, const Source& packed, const PassOptions& options = {},
                       const PassStart& start = {});

/// A pass finds exactly `plain`; what was skipped, and every segment, decodes to it in one read and
/// in odd pieces; passes that go on from some of the points find the rest, too.
void expect_keeps_codec_contract(const Codec& codec, ConstByteSpan packed, ConstByteSpan plain,
                                 const PassOptions& options = {});

}  // namespace imgfs
