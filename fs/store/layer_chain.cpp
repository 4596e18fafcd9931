#include "fs/store/layer_chain.h"

#include <cerrno>

#include "fs/base/error.h"

namespace imgfs {

std::vector<StoredPiece> LayerChain::find(uint64_t first, uint64_t end) const {
    std::vector<StoredPiece> pieces;
    add_from(layers_.size(), first, end, pieces);
    return pieces;
}

/// Of what the oldest `count` layers have.
void LayerChain::add_from(size_t count, uint64_t first, uint64_t end,
                          std::vector<StoredPiece>& pieces) const {
    if (count == 0) {
        pieces.push_back({.first_block = first, .count = end - first});
        return;
    }
    for (auto& piece : layers_[count - 1]->map().find(first, end)) {
        if (piece.kind == StoredPiece::Kind::absent) {
            add_from(count - 1, piece.first_block, piece.end(), pieces);
        } else {
            piece.from = layers_[count - 1];
            pieces.push_back(piece);
        }
    }
}

void LayerChain::replace(size_t first, size_t end, std::shared_ptr<Layer> layer) {
    layers_[first] = std::move(layer);
    layers_.erase(layers_.begin() + ptrdiff_t(first) + 1, layers_.begin() + ptrdiff_t(end));
}

LayerChain LayerChain::part(size_t first, size_t end) const {
    LayerChain part;
    part.layers_.assign(layers_.begin() + ptrdiff_t(first), layers_.begin() + ptrdiff_t(end));
    return part;
}

std::optional<uint64_t> LayerChain::next(uint64_t first) const {
    std::optional<uint64_t> nearest;
    for (const auto& layer : layers_) {
        const auto found = layer->map().next(first);
        if (found && (!nearest || *found < *nearest)) {
            nearest = found;
        }
    }
    return nearest;
}

void check_listed(const LayerList& list, const LayerList::Entry& entry, const Layer& layer) {
    const auto& header = layer.header();
    const auto& position = layer.position();
    if (header.uuid != entry.uuid || header.parent != entry.parent ||
        header.identity != list.identity || header.device_size != list.device_size) {
        fail(EUCLEAN, layer.name() +
                          ": is not the layer that the file `layers` beside it names; "
                          "put back a copy of the folder");
    }
    if (entry.seal &&
        (position.end != entry.seal->end || position.transaction != entry.seal->transactions ||
         position.chain != entry.seal->chain)) {
        fail(EUCLEAN, layer.name() + ": isn't as it was when it became the recovery point " +
                          entry.seal->point + "; put back a copy of the folder");
    }
}

}  // namespace imgfs
