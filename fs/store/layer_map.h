// LayerMap: where in a layer's log each changed block stands.
#pragma once

#include <vector>

#include "fs/store/map_file.h"
#include "fs/store/run_map.h"

namespace imgfs {

/// What commits have added lately is in memory; the rest in map files, newer ones before older
/// ones. Not safe by itself: whoever owns it guards it.
class LayerMap {
  public:
    LayerMap() = default;
    /// `files`: each goes on where the one before ends.
    explicit LayerMap(std::vector<MapFile> files) : files_(std::move(files)) {}

    /// `piece` is newer than all that was added before.
    void add(const StoredPiece& piece) {
        recent_.assign(piece.first_block, piece.count, {piece.kind, piece.record, piece.skip});
    }

    /// All of [first, end), in order and without gaps.
    std::vector<StoredPiece> find(uint64_t first, uint64_t end) const;

    /// The first block at or behind `first` that isn't absent.
    std::optional<uint64_t> next(uint64_t first) const;

    /// Pieces that are in memory.
    uint64_t recent() const { return recent_.size(); }

    /// How many of the newest files had better be written anew together with what is recent, so
    /// that there are few of them, and each block is written seldom.
    size_t worth_merging() const;

    /// A map without what the oldest `left_out` files have. It stays out of this one.
    MapFile merge(size_t left_out, MapWriter& writer, const LogPosition& position) const;

    /// `file` has all that is recent and what the files behind the oldest `kept` have; gives those.
    std::vector<MapFile> replace(size_t kept, MapFile file);

    const std::vector<MapFile>& files() const { return files_; }

  private:
    struct Place {
        StoredPiece::Kind kind = StoredPiece::Kind::absent;
        uint64_t record = 0;
        uint64_t skip = 0;

        Place tail(uint64_t blocks) const {
            return {kind, record, kind == StoredPiece::Kind::data ? skip + blocks : 0};
        }
    };
    using Pieces = std::vector<StoredPiece>;

    Pieces find_without(size_t left_out, uint64_t first, uint64_t end) const;
    void add_from_files(size_t left_out, size_t count, const StoredPiece& gap, Pieces& out) const;

    std::vector<MapFile> files_;  // oldest first
    RunMap<Place> recent_;
};

}  // namespace imgfs
