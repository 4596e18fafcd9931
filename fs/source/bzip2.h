// bzip2: one stream or many, by whatever program.
#pragma once

#include "fs/source/codec.h"

namespace imgfs {

bool starts_bzip2(ConstByteSpan start);

/// Points stand at blocks, at any bit, and need nothing before them: every block decodes alone. The
/// pass cuts the stream at the marks that blocks begin with and decodes what lies between on all
/// cores. A point's state is the checksum of its stream so far; only a pass that goes on there
/// needs it.
void pass_bzip2(const Source& packed, const PassStart& start, const PassOptions& options,
                PassSink& sink);

std::unique_ptr<Decoder> open_bzip2(const Source& packed, const SeekPoint& point);

}  // namespace imgfs
