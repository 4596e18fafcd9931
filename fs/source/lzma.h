// The .lzma format: one stream, without a checksum.
#pragma once

#include "fs/source/codec.h"

namespace imgfs {

void pass_lzma(const Source& packed, const PassStart& start, const PassOptions& options,
               PassSink& sink);

std::unique_ptr<Decoder> open_lzma(const Source& packed, const SeekPoint& point);

}  // namespace imgfs
