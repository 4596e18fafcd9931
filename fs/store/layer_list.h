// LayerList: the file `layers`, which names the layers of a delta, oldest first.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fs/store/layer_format.h"

namespace imgfs {

/// What a layer was when it was sealed, and the recovery point that this made.
struct Seal {
    uint64_t end = kLogStart;  ///< where its log ends
    uint64_t transactions = 0;
    uint64_t chain = 0;
    int64_t time_ns = 0;  ///< since 1970, UTC
    std::string point;    ///< see is_point_name()
    std::string note;     ///< any text
};

struct LayerList {
    struct Entry {
        std::string file;
        Uuid uuid{};
        Uuid parent{};                  ///< zero: the image itself
        std::optional<Seal> seal = {};  ///< none: the open layer
    };

    uint64_t device_size = 0;
    Hash128 identity{};
    Hash128 content{};          ///< of all plain bytes of the image; zero if it was never known
    std::vector<Entry> layers;  ///< each over the one before; only the last can be open
    /// Set aside by rollbacks, what the last one did behind the others: runs of layers, each over
    /// the one before, and the first over one in `layers` or in a run behind it.
    std::vector<Entry> aside;
    /// Files of layers that nobody uses any more, or not yet: to be removed.
    std::vector<std::string> gone;
};

/// Of all layers that it names.
std::vector<std::string> file_names(const LayerList& list);

/// 1 to 64 characters of A-Z, a-z, 0-9, '.', '_', '-'; not "base", and not beginning with '-'.
bool is_point_name(std::string_view name);

std::string format_layer_list(const LayerList& list);

/// EUCLEAN, naming `path`, unless every byte is as format_layer_list() makes it.
LayerList parse_layer_list(ConstByteSpan content, const std::string& path);

}  // namespace imgfs
