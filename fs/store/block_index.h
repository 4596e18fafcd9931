// BlockIndex: where in the layer file each changed block stands.
#pragma once

#include <vector>

#include "fs/store/run_map.h"

namespace imgfs {

/// What the delta has of some neighbouring blocks.
struct StoredPiece {
    enum class Kind { absent, zeros, data };

    uint64_t first_block = 0;
    uint64_t count = 0;
    Kind kind = Kind::absent;
    uint64_t record = 0;  ///< data: offset of its record's header in the layer file
    uint64_t skip = 0;    ///< data: how many blocks of the record come before
};

/// In memory, one entry for each piece of a record that is not overwritten. Not safe by itself:
/// whoever owns it guards it.
class BlockIndex {
  public:
    /// `piece` is newer than all that was added before.
    void add(const StoredPiece& piece) {
        runs_.assign(piece.first_block, piece.count, {piece.kind, piece.record, piece.skip});
    }

    /// All of [first, end), in order and without gaps.
    std::vector<StoredPiece> find(uint64_t first, uint64_t end) const {
        std::vector<StoredPiece> pieces;
        runs_.visit(first, end, [&](uint64_t block, uint64_t count, const Place* place) {
            const Place found = place != nullptr ? *place : Place{};
            pieces.push_back({block, count, found.kind, found.record, found.skip});
        });
        return pieces;
    }

    uint64_t entries() const { return runs_.size(); }

  private:
    struct Place {
        StoredPiece::Kind kind = StoredPiece::Kind::absent;
        uint64_t record = 0;
        uint64_t skip = 0;

        Place tail(uint64_t blocks) const {
            return {kind, record, kind == StoredPiece::Kind::data ? skip + blocks : 0};
        }
    };

    RunMap<Place> runs_;
};

}  // namespace imgfs
