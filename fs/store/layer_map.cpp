#include "fs/store/layer_map.h"

#include <algorithm>

namespace imgfs {
namespace {

using Kind = StoredPiece::Kind;

constexpr uint64_t kWindow = 1 << 20;  // blocks that are merged at once
constexpr uint64_t kEverything = kMaxDeviceSize / kBlockSize;

}  // namespace

std::vector<StoredPiece> LayerMap::find(uint64_t first, uint64_t end) const {
    return find_without(0, first, end);
}

LayerMap::Pieces LayerMap::find_without(size_t left_out, uint64_t first, uint64_t end) const {
    Pieces pieces;
    recent_.visit(first, end, [&](uint64_t block, uint64_t count, const Place* place) {
        StoredPiece piece{.first_block = block, .count = count};
        if (place == nullptr) {
            add_from_files(left_out, files_.size(), piece, pieces);
            return;
        }
        piece.kind = place->kind;
        piece.record = place->record;
        piece.skip = place->skip;
        pieces.push_back(piece);
    });
    return pieces;
}

/// Of the blocks of `gap`, what the oldest `count` files have.
void LayerMap::add_from_files(size_t left_out, size_t count, const StoredPiece& gap,
                              Pieces& out) const {
    if (count == left_out) {
        out.push_back(gap);
        return;
    }
    auto at = gap.first_block;
    const auto fill_up_to = [&](uint64_t end) {
        if (at < end) {
            add_from_files(left_out, count - 1, {.first_block = at, .count = end - at}, out);
        }
    };
    files_[count - 1].visit(gap.first_block, gap.end(), [&](const StoredPiece& piece) {
        fill_up_to(piece.first_block);
        out.push_back(piece);
        at = piece.end();
    });
    fill_up_to(gap.end());
}

std::optional<uint64_t> LayerMap::next(uint64_t first) const {
    auto nearest = recent_.next(first);
    for (const auto& file : files_) {
        const auto found = file.next(first);
        if (found && (!nearest || *found < *nearest)) {
            nearest = found;
        }
    }
    return nearest;
}

size_t LayerMap::worth_merging() const {
    size_t count = 0;
    for (auto entries = recent_.size(); count < files_.size(); ++count) {
        const auto& file = files_[files_.size() - 1 - count];
        if (file.entries() > 2 * entries) {
            break;
        }
        entries += file.entries();
    }
    return count;
}

MapFile LayerMap::merge(size_t left_out, MapWriter& writer, const LogPosition& position) const {
    for (auto first = next(0); first; first = next(*first)) {
        const auto end = std::min(*first + kWindow, kEverything);
        for (const auto& piece : find_without(left_out, *first, end)) {
            if (piece.kind != Kind::absent) {
                writer.put(piece);
            }
        }
        first = end;
    }
    const auto from = left_out == 0 ? 0 : files_[left_out - 1].range().to.transaction;
    return writer.finish({from, position});
}

std::vector<MapFile> LayerMap::replace(size_t kept, MapFile file) {
    std::vector<MapFile> gone(std::make_move_iterator(files_.begin() + std::ptrdiff_t(kept)),
                              std::make_move_iterator(files_.end()));
    files_.erase(files_.begin() + std::ptrdiff_t(kept), files_.end());
    files_.push_back(std::move(file));
    recent_.clear();
    return gone;
}

}  // namespace imgfs
