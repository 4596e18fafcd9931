// The map files that stand beside a layer.
#pragma once

#include <vector>

#include "fs/store/map_file.h"

namespace imgfs {

/// Where the map that ends with this transaction stands: `000001.map-4711` beside `000001.layer`.
std::filesystem::path map_path(const std::filesystem::path& layer, uint64_t transaction);

/// Those that fit together, from the start of the log on, oldest first. Only sound ones of that
/// layer are taken; of two with the same start the longer one.
std::vector<MapFile> find_maps(const std::filesystem::path& layer, const LayerHeader& header);

/// Removes all maps of the layer but `used`: what a crash has left, and what nobody believes.
void remove_other_maps(const std::filesystem::path& layer, const std::vector<MapFile>& used,
                       FileWatcher* watcher);

}  // namespace imgfs
