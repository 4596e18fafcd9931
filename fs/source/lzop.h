// lzop: one file or several, by whatever options but filters.
#pragma once

#include "fs/source/codec.h"

namespace imgfs {

bool starts_lzop(ConstByteSpan start);

/// Points stand at blocks, which say how long they are, packed and plain, and are independent.
/// Where they carry checksums of their plain bytes, the pass goes from header to header and decodes
/// only blocks of an unusual size (a damaged size would put all that follows in the wrong place);
/// otherwise it decodes everything, on all cores. A point's state is the flags of its file.
void pass_lzop(const Source& packed, const PassStart& start, const PassOptions& options,
               PassSink& sink);

std::unique_ptr<Decoder> open_lzop(const Source& packed, const SeekPoint& point);

}  // namespace imgfs
