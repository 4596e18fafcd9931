#include "fs/store/kept_maps.h"

#include <algorithm>
#include <system_error>

namespace imgfs {
namespace {

std::string map_prefix(const std::filesystem::path& layer) {
    return layer.stem().string() + ".map-";
}

std::vector<std::filesystem::path> map_files(const std::filesystem::path& layer) {
    const auto prefix = map_prefix(layer);
    std::vector<std::filesystem::path> found;
    for (const auto& entry : std::filesystem::directory_iterator(layer.parent_path())) {
        if (entry.path().filename().string().starts_with(prefix)) {
            found.push_back(entry.path());
        }
    }
    return found;
}

}  // namespace

std::filesystem::path map_path(const std::filesystem::path& layer, uint64_t transaction) {
    return layer.parent_path() / (map_prefix(layer) + std::to_string(transaction));
}

std::vector<MapFile> find_maps(const std::filesystem::path& layer, const LayerHeader& header) {
    std::vector<MapFile> sound;
    for (const auto& path : map_files(layer)) {
        try {
            if (auto map = MapFile::open(path, header)) {
                sound.push_back(std::move(*map));
            }
        } catch (const std::system_error&) {
            // A writer has just removed it; or it can't be read: the log is there.
        }
    }
    std::ranges::sort(sound, std::greater(),
                      [](const MapFile& map) { return map.range().to.transaction; });
    std::vector<MapFile> chosen;
    uint64_t at = 0;
    const auto follows = [&](const MapFile& map) {
        return map.range().from == at && map.range().to.transaction > at;
    };
    for (auto next = std::ranges::find_if(sound, follows); next != sound.end();
         next = std::ranges::find_if(sound, follows)) {
        at = next->range().to.transaction;
        chosen.push_back(std::move(*next));
        sound.erase(next);
    }
    return chosen;
}

void remove_other_maps(const std::filesystem::path& layer, const std::vector<MapFile>& used,
                       FileWatcher* watcher) {
    for (const auto& path : map_files(layer)) {
        if (std::ranges::find(used, path, &MapFile::path) == used.end()) {
            remove_watched(path, watcher);
        }
    }
}

}  // namespace imgfs
