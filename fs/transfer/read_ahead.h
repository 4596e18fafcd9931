// Pieces of a source, read on a second thread while the caller works on the piece before.
#pragma once

#include <functional>

#include "fs/base/progress.h"
#include "fs/source/source.h"

namespace imgfs {

/// Calls `use(offset, piece)` for the whole source in order, pieces of `piece_size` bytes (the last
/// may be shorter). What either thread throws is thrown here, after both have ended.
void for_each_piece(const Source& source, size_t piece_size, const Progress& progress,
                    const std::function<void(uint64_t offset, ConstByteSpan piece)>& use);

}  // namespace imgfs
