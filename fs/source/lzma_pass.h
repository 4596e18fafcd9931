// The indexing pass over a stream that liblzma decodes.
#pragma once

#include "fs/source/lzma_units.h"

namespace imgfs {

/// Points stand at starts of units, kHashedPiece apart or more. Where the stream lists its units,
/// all have checksums, and none is too large to be checked before it is given out, nothing is
/// decoded.
void pass_lzma_units(const LzmaFormat& format, const Source& packed, const PassStart& start,
                     PassSink& sink);

}  // namespace imgfs
