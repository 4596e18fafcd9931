// LayerList: the file `layers`, which names the layers of a delta, oldest first.
#pragma once

#include <string>
#include <vector>

#include "fs/store/layer_format.h"

namespace imgfs {

struct LayerList {
    struct Entry {
        std::string file;
        Uuid uuid{};
        Uuid parent{};  ///< zero: the image itself
        std::string state;
    };

    uint64_t device_size = 0;
    Hash128 identity{};
    Hash128 content{};  ///< of all plain bytes of the image; zero if it was never known
    std::vector<Entry> layers;
};

std::string format_layer_list(const LayerList& list);

/// EUCLEAN, naming `path`, unless every byte is as format_layer_list() makes it.
LayerList parse_layer_list(ConstByteSpan content, const std::string& path);

}  // namespace imgfs
