// StoredPiece: what the delta has of some neighbouring blocks.
#pragma once

#include <cstdint>
#include <memory>

namespace imgfs {

class Layer;

struct StoredPiece {
    enum class Kind { absent, zeros, data };

    uint64_t first_block = 0;
    uint64_t count = 0;
    Kind kind = Kind::absent;
    uint64_t record = 0;  ///< data: offset of its record's header in the layer file
    uint64_t skip = 0;    ///< data: how many blocks of the record come before
    /// Data, as LayerChain::find() gives it: where it can be read from, for as long as it is held.
    std::shared_ptr<const Layer> from = {};

    uint64_t end() const { return first_block + count; }

    /// The part of it that lies in [first, end), which it touches.
    StoredPiece part(uint64_t first, uint64_t end_block) const {
        auto part = *this;
        const auto begin = first > first_block ? first : first_block;
        const auto stop = end_block < end() ? end_block : end();
        part.first_block = begin;
        part.count = stop - begin;
        part.skip = kind == Kind::data ? skip + begin - first_block : 0;
        return part;
    }
};

}  // namespace imgfs
