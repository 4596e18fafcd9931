// LayerMerge: a new layer that holds what some neighbouring sealed layers hold together.
#pragma once

#include "fs/base/progress.h"
#include "fs/store/layer_chain.h"

namespace imgfs {

class LayerMerge {
  public:
    /// `from`: sealed layers, each over the one before. The new one is in the place of all of them:
    /// it has the last one's uuid, which names the state it makes, and the first one's parent.
    LayerMerge(LayerChain from, std::filesystem::path to, const LayerContext& context)
        : from_(std::move(from)), to_(std::move(to)), context_(context) {}

    /// Writes the new layer and seals it: durable when it returns. Changes nothing else, so that
    /// the others may be read meanwhile. Memory: the changes of a commit.
    void run(const Progress& progress = {});

    /// That are to be read, at most.
    uint64_t bytes() const;

    const LayerChain& from() const { return from_; }
    const std::filesystem::path& to() const { return to_; }
    /// Once run() has returned.
    const std::shared_ptr<Layer>& result() const { return result_; }

  private:
    void copy(const StoredPiece& piece);
    void commit();
    void write_map(Layer::MapPart part);

    LayerChain from_;
    std::filesystem::path to_;
    LayerContext context_;
    std::shared_ptr<Layer> result_;
    Overlay changes_;
    uint64_t copied_ = 0;  // bytes
};

}  // namespace imgfs
