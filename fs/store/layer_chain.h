// LayerChain: the layers of a delta, each over the one before.
#pragma once

#include <memory>
#include <vector>

#include "fs/store/layer.h"
#include "fs/store/layer_list.h"

namespace imgfs {

/// Not safe by itself: whoever owns it guards it.
class LayerChain {
  public:
    void push(std::shared_ptr<Layer> layer) { layers_.push_back(std::move(layer)); }

    /// Puts one in the place of the layers [first, end).
    void replace(size_t first, size_t end, std::shared_ptr<Layer> layer);

    /// The layers [first, end).
    LayerChain part(size_t first, size_t end) const;

    size_t size() const { return layers_.size(); }
    const std::shared_ptr<Layer>& operator[](uint64_t number) const { return layers_[number]; }
    auto begin() const { return layers_.begin(); }
    auto end() const { return layers_.end(); }

    /// What the newest layer that has them has of the blocks [first, end), in order and without
    /// gaps.
    std::vector<StoredPiece> find(uint64_t first, uint64_t end) const;

    /// The first block at or behind `first` that any layer has.
    std::optional<uint64_t> next(uint64_t first) const;

  private:
    void add_from(size_t count, uint64_t first, uint64_t end,
                  std::vector<StoredPiece>& pieces) const;

    std::vector<std::shared_ptr<Layer>> layers_;  // the oldest first
};

/// EUCLEAN unless the layer is what `list` has at `entry` (invariant 10 of FORMAT.md).
void check_listed(const LayerList& list, const LayerList::Entry& entry, const Layer& layer);

}  // namespace imgfs
