// StoredPiece: what the delta has of some neighbouring blocks.
#pragma once

#include <cstdint>

namespace imgfs {

struct StoredPiece {
    enum class Kind { absent, zeros, data };

    uint64_t first_block = 0;
    uint64_t count = 0;
    Kind kind = Kind::absent;
    uint64_t record = 0;  ///< data: offset of its record's header in the layer file
    uint64_t skip = 0;    ///< data: how many blocks of the record come before
    uint64_t layer = 0;   ///< data: number of the layer in the chain, the oldest is 0

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
