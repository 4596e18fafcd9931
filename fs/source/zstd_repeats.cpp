#include "fs/source/zstd_repeats.h"

namespace imgfs {
namespace {

constexpr size_t kBlocksMost = 32;  // one or two nearly always suffice
/// Decoded at once. They join, so that a long run of blocks that only repeat is no obstacle.
constexpr uint32_t kFewSequences = 128;

}  // namespace

void RepeatTracker::skip(const ZstdSections& sections, const ZstdTables& tables,
                         size_t plain_size) {
    if (sections.sequences == 0) {
        return;
    }
    Block block{.sections = sections, .tables = tables, .plain_size = plain_size};
    if (sections.sequences > kFewSequences) {
        block.stream.assign(sections.stream.begin(), sections.stream.end());
    } else if (!decode(block)) {
        forget();
        return;
    }
    add(std::move(block));
}

void RepeatTracker::add(Block block) {
    if (block.decoded && blocks_.empty() && before_) {
        before_ = composed(*before_, block.change);
        return;
    }
    if (block.decoded && !blocks_.empty() && blocks_.back().decoded) {
        blocks_.back().change = composed(blocks_.back().change, block.change);
        return;
    }
    blocks_.push_back(std::move(block));
    if (blocks_.size() > kBlocksMost) {
        blocks_.pop_front();
        before_.reset();
    }
}

bool RepeatTracker::settle() {
    auto now = kUnknownRepeatOffsets;
    for (auto block = blocks_.rbegin(); block != blocks_.rend() && !are_known(now); ++block) {
        if (!block->decoded) {
            block->sections.stream = block->stream;
            if (!decode(*block)) {
                forget();
                return false;
            }
        }
        now = composed(block->change, now);
    }
    if (!are_known(now)) {
        if (!before_) {
            return false;
        }
        now = composed(*before_, now);
    }
    before_ = now;
    blocks_.clear();
    return true;
}

bool RepeatTracker::decode(Block& block) {
    if (!decode_sequences(block.sections, block.tables, block.plain_size, sequences_)) {
        return false;
    }
    block.change = kUnknownRepeatOffsets;
    for (const auto& sequence : sequences_) {
        next_offset(sequence, block.change);
    }
    block.decoded = true;
    block.stream = {};
    return true;
}

void RepeatTracker::forget() {
    blocks_.clear();
    before_.reset();
}

}  // namespace imgfs
