// What an xz stream's own index says of its blocks.
#pragma once

#include "fs/source/lzma_units.h"

namespace imgfs {

/// Of all streams that stand in `packed`; nothing if an index is damaged or missing.
std::optional<LzmaUnitList> list_xz_blocks(const Source& packed);

/// Is it a checksum, and does liblzma know it?
bool is_proof(lzma_check check);

}  // namespace imgfs
