// Any bytes as a partclone image.
#pragma once

#include <string_view>
#include <vector>

#include "fs/base/bytes.h"

namespace imgfs {

/// These bytes, as they are and under right checksums of header and bitmap, are refused with what
/// the contract allows, or are a partition: what its strips' checksums let pass is what stands in
/// the stream, in one read and in pieces, and verify() ends.
void run_partclone(std::string_view target, ConstByteSpan image);

std::vector<Bytes> partclone_seeds(std::string_view target);

}  // namespace imgfs
