// The zstd codec: seek points at block boundaries inside frames, kept as dictionaries. Its method,
// its invariants and the encoding of a point's state stand in ZSTD_POINTS.md.
#pragma once

#include "fs/source/codec.h"

namespace imgfs {

bool starts_zstd(ConstByteSpan start);
void pass_zstd(const Source& packed, const PassStart& start, const PassOptions& options,
               PassSink& sink);
std::unique_ptr<Decoder> open_zstd(const Source& packed, const SeekPoint& point);

}  // namespace imgfs
