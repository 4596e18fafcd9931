#include "fs/store/layer_merge.h"

#include <algorithm>

#include "fs/store/random_value.h"

namespace imgfs {
namespace {

constexpr uint64_t kCommitBlocks = 32 * kMiB / kBlockSize;
constexpr uint64_t kWindow = kGiB / kBlockSize;  // bounds the list of pieces

}  // namespace

void LayerMerge::run(const Progress& progress) {
    auto header = from_[from_.size() - 1]->header();
    header.parent = from_[0]->header().parent;
    header.generation = 1;
    header.salt = random_value<uint64_t>();
    header.clean_end = kLogStart;
    header.clean_transaction = 0;
    header.incompat |= kPackedRecords;
    result_ = std::make_shared<Layer>(to_, header, context_);
    const auto end = blocks_of(header.device_size);
    for (auto first = from_.next(0); first; first = from_.next(*first)) {
        const auto window_end = std::min(*first + kWindow, end);
        for (const auto& piece : from_.find(*first, window_end)) {
            copy(piece);
            if (progress) {
                progress(copied_, bytes());
            }
        }
        first = window_end;
    }
    commit();
    result_->end_log();
    result_->make_read_only();
    write_map(Layer::MapPart::all);
}

void LayerMerge::copy(const StoredPiece& piece) {
    if (piece.kind == StoredPiece::Kind::zeros) {
        changes_.put_zeros(piece.first_block, piece.count);
    }
    if (piece.kind == StoredPiece::Kind::data) {
        Bytes blocks(piece.count * kBlockSize);
        piece.from->read(piece, blocks);
        copied_ += blocks.size();
        for (uint64_t i = 0; i < piece.count; ++i) {
            const auto block = ConstByteSpan(blocks).subspan(i * kBlockSize, kBlockSize);
            changes_.put(piece.first_block + i, block_of(block));
        }
    }
    if (changes_.data_blocks() + changes_.zero_runs() >= kCommitBlocks) {
        commit();
    }
}

uint64_t LayerMerge::bytes() const {
    uint64_t blocks = 0;
    for (const auto& layer : from_) {
        blocks += layer->position().data_blocks;
    }
    return blocks * kBlockSize;
}

void LayerMerge::commit() {
    if (changes_.empty()) {
        return;
    }
    result_->add_to_map(result_->commit(changes_, [] {}));
    changes_.clear();
    if (result_->map_is_due()) {
        write_map(Layer::MapPart::recent);
    }
}

void LayerMerge::write_map(Layer::MapPart part) {
    for (const auto& replaced : result_->use_map(result_->write_map(part))) {
        remove_watched(replaced, context_.watcher);
    }
}

}  // namespace imgfs
