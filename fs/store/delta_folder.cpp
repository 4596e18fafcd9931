#include "fs/store/delta_folder.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "fs/base/error.h"
#include "fs/store/log_reader.h"

namespace imgfs {
namespace {

constexpr std::string_view kLayerSuffix = ".layer";
constexpr size_t kLayerDigits = 6;

bool holds_commit(const std::filesystem::path& layer) {
    const auto any = [](const Commit&) { return true; };
    return find_commit(LayerFile::open(layer, false, nullptr), kLogStart, any).has_value();
}

std::filesystem::path layer_path(const std::filesystem::path& folder, uint64_t number) {
    const auto digits = std::to_string(number);
    if (digits.size() > kLayerDigits) {
        fail(EFBIG, folder.string() + ": has as many layers as there can be");
    }
    return folder /
           (std::string(kLayerDigits - digits.size(), '0') + digits + std::string(kLayerSuffix));
}

}  // namespace

std::filesystem::path list_path(const std::filesystem::path& folder) {
    return folder / "layers";
}

std::filesystem::path spare_path(const std::filesystem::path& folder) {
    return folder / "layers.spare";
}

std::filesystem::path first_layer(const std::filesystem::path& folder) {
    return layer_path(folder, 1);
}

std::filesystem::path layer_after(const std::filesystem::path& layer) {
    return layer_path(layer.parent_path(), std::stoul(layer.stem().string()) + 1);
}

bool is_there(const std::filesystem::path& path) {
    if (::access(path.c_str(), F_OK) == 0) {
        return true;
    }
    if (errno != ENOENT && errno != ENOTDIR) {
        fail_errno(path.string());
    }
    return false;
}

// The order of writes puts the list before the first commit: a commit that is not listed was, once.
void refuse_unlisted_layers(const std::filesystem::path& folder, const LayerList& list) {
    if (!is_there(folder)) {
        return;
    }
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        const auto name = entry.path().filename().string();
        if (!name.ends_with(kLayerSuffix) ||
            std::ranges::find(list.layers, name, &LayerList::Entry::file) != list.layers.end() ||
            !holds_commit(entry.path())) {
            continue;
        }
        fail(EUCLEAN, entry.path().string() + ": holds changes, but the file `layers` beside it " +
                          (list.layers.empty() ? "is gone" : "doesn't name it") +
                          "; put back a copy of the folder, or move it away to go back "
                          "to the image as saved");
    }
}

}  // namespace imgfs
