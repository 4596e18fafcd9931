// The seek index as a file. Format: INDEX.md.
#pragma once

#include <filesystem>
#include <optional>

#include "fs/source/gzip_index.h"

namespace imgfs {

enum class IndexState { none, good, stale, damaged };

struct LoadedIndex {
    IndexState state = IndexState::none;
    GzipIndex index;  ///< of a good one
};

/// `identity` says which packed bytes it must belong to. An unreadable file is `none`. Believes
/// nothing that its checksums don't cover.
LoadedIndex load_index(const std::filesystem::path& path, uint64_t packed_size,
                       ConstByteSpan identity);

/// In place all or nothing, its directories made. Fails as the file system does.
void save_index(const std::filesystem::path& path, uint64_t packed_size, ConstByteSpan identity,
                const GzipIndex& index);

}  // namespace imgfs
