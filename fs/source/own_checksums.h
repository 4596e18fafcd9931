// Whether a compressed stream vouches for its plain bytes.
#pragma once

#include "fs/source/codec.h"

namespace imgfs {

/// Has the stream checksums of its own, over plain or packed bytes? Told by the header of its first
/// frame: those that one program puts into a stream are alike. EUCLEAN if that is damaged.
bool has_own_checksums(const Codec& codec, const Source& packed);

}  // namespace imgfs
