// Short buffers, each packed with zstd by itself.
#pragma once

#include <optional>

#include "fs/base/bytes.h"

namespace imgfs {

/// Packs `plain` into `out` and returns how many bytes it takes; nothing if it doesn't fit.
std::optional<size_t> zstd_pack(ConstByteSpan plain, ByteSpan out, int level);

/// What zstd_pack() needs in any case.
size_t zstd_pack_bound(size_t plain_size);

/// Fills all of `out`. False if `packed` isn't one good frame of exactly as many plain bytes.
bool zstd_unpack(ConstByteSpan packed, ByteSpan out);

}  // namespace imgfs
