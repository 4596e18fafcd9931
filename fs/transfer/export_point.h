// export_point: a recovery point's layer into a file of its own.
#pragma once

#include <filesystem>

#include "fs/base/progress.h"
#include "fs/store/delta_store.h"

namespace imgfs {

/// Reads all of the layer first, so that no damage is carried on (EUCLEAN); then writes it under
/// another name beside `path`, and renames it when it is complete and durable. Returns its size.
/// ENOENT if there is no such point.
uint64_t export_point(const DeltaStore& delta, const std::string& point,
                      const std::filesystem::path& path, const Progress& progress);

}  // namespace imgfs
