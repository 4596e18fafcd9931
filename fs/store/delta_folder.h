// The files in a delta's folder: their names, and whether they fit together.
#pragma once

#include <filesystem>

#include "fs/store/layer_list.h"

namespace imgfs {

std::filesystem::path list_path(const std::filesystem::path& folder);
std::filesystem::path spare_path(const std::filesystem::path& folder);

std::filesystem::path first_layer(const std::filesystem::path& folder);
/// The one with the next number; EFBIG if there is none.
std::filesystem::path layer_after(const std::filesystem::path& layer);

/// As access(2) tells; throws what keeps it from telling.
bool is_there(const std::filesystem::path& path);

/// EUCLEAN if a layer that `list` doesn't name holds a commit (invariant 8 of FORMAT.md).
void refuse_unlisted_layers(const std::filesystem::path& folder, const LayerList& list);

}  // namespace imgfs
