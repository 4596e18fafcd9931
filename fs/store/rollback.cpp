#include "fs/store/rollback.h"

#include <algorithm>
#include <cerrno>

#include "fs/base/error.h"

namespace imgfs {
namespace {

using Layers = std::vector<LayerList::Entry>;

/// Takes what begins at `first` out of `layers`.
Layers take_from(Layers& layers, size_t first) {
    const auto begin = layers.begin() + static_cast<ptrdiff_t>(first);
    Layers taken(std::make_move_iterator(begin), std::make_move_iterator(layers.end()));
    layers.erase(begin, layers.end());
    return taken;
}

void append(Layers& layers, Layers more) {
    std::ranges::move(more, std::back_inserter(layers));
}

/// Where the last run of layers, each over the one before, begins.
size_t last_run(const Layers& layers) {
    auto first = layers.size() - 1;
    while (first > 0 && layers[first].parent == layers[first - 1].uuid) {
        --first;
    }
    return first;
}

}  // namespace

void roll_back(LayerList& list, size_t kept) {
    if (kept == list.layers.size()) {
        fail(EINVAL, "nothing was changed after that: there is nothing to roll back");
    }
    append(list.aside, take_from(list.layers, kept));
}

void undo_rollback(LayerList& list) {
    if (list.aside.empty()) {
        fail(ENOENT,
             "nothing is set aside: there is no rollback to undo, or a prune has come since");
    }
    auto back = take_from(list.aside, last_run(list.aside));
    const auto below = std::ranges::find(list.layers, back.front().parent, &LayerList::Entry::uuid);
    if (below == list.layers.end() && back.front().parent != Uuid{}) {
        fail(EUCLEAN, back.front().file + ": what it was made over is gone");
    }
    const auto kept = below == list.layers.end() ? 0 : below - list.layers.begin() + 1;
    append(list.aside, take_from(list.layers, static_cast<size_t>(kept)));
    append(list.layers, std::move(back));
}

}  // namespace imgfs
