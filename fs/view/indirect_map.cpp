// i_block has twelve blocks of data, then a node of one, of two and of three levels. A node is an
// array of block numbers; 0 is a hole.
#include "fs/view/indirect_map.h"

#include <algorithm>
#include <cerrno>

#include "fs/base/error.h"
#include "fs/base/text.h"

namespace imgfs {
namespace {

bool overlap(const BlockRange& a, const BlockRange& b) {
    return a.first < b.end() && b.first < a.end();
}

void append(std::vector<BlockRun>& runs, uint64_t logical, uint64_t physical) {
    if (!runs.empty() && runs.back().end() == logical &&
        runs.back().physical + runs.back().count == physical) {
        ++runs.back().count;
    } else {
        runs.push_back({.logical = logical, .physical = physical, .count = 1});
    }
}

/// The block for `logical`, 0 if the runs have none.
uint32_t physical_of(std::span<const BlockRun> runs, uint64_t logical) {
    auto next = std::ranges::upper_bound(runs, logical, {}, &BlockRun::logical);
    if (next == runs.begin() || logical >= (--next)->end()) {
        return 0;
    }
    return static_cast<uint32_t>(next->physical + (logical - next->logical));
}

}  // namespace

IndirectMap::IndirectMap(ExtFilesystem& fs, ext2_ino_t number, const ext2_inode_large& inode)
    : fs_(fs), number_(number), inode_(inode), fan_out_(fs.block_size() / sizeof(uint32_t)) {}

uint64_t IndirectMap::most_blocks(uint32_t block_size) {
    const uint64_t fan_out = block_size / sizeof(uint32_t);
    return EXT2_NDIR_BLOCKS + fan_out + fan_out * fan_out + fan_out * fan_out * fan_out;
}

std::string IndirectMap::name() const {
    return "inode " + std::to_string(number_);
}

uint64_t IndirectMap::blocks_below(int level) const {
    uint64_t blocks = 1;
    for (; level > 0; --level) {
        blocks *= fan_out_;
    }
    return blocks;
}

uint32_t IndirectMap::checked(uint32_t block) const {
    if (block != 0 && (block < fs_.handle()->super->s_first_data_block ||
                       block >= ext2fs_blocks_count(fs_.handle()->super))) {
        fail(EUCLEAN, name() + ": block " + format_count(block) + " is not in the file system");
    }
    return block;
}

std::vector<IndirectMap::Slot> IndirectMap::root_slots() const {
    std::vector<Slot> slots;
    uint64_t first = 0;
    for (int i = 0; i < EXT2_N_BLOCKS; ++i) {
        const int level = std::max(0, i - EXT2_NDIR_BLOCKS + 1);
        slots.push_back({first, level, checked(inode_.i_block[i])});
        first += blocks_below(level);
    }
    return slots;
}

IndirectMap::Slot IndirectMap::child(const Slot& node, ConstByteSpan content,
                                     uint64_t index) const {
    return {node.first + index * blocks_below(node.level - 1), node.level - 1,
            checked(le32(content, index * sizeof(uint32_t)))};
}

std::vector<BlockRun> IndirectMap::runs(const BlockRange& range) const {
    Walk walk{.range = range};
    for (const Slot& slot : root_slots()) {
        collect(slot, walk);
    }
    return std::move(walk.found);
}

void IndirectMap::collect(const Slot& slot, Walk& walk) const {
    const BlockRange& range = walk.range;
    if (slot.block == 0 || !overlap({slot.first, blocks_below(slot.level)}, range)) {
        return;
    }
    if (slot.level == 0) {
        append(walk.found, slot.first, slot.block);
        return;
    }
    if (!walk.nodes.insert(slot.block).second) {
        fail(EUCLEAN, name() + ": indirect block " + format_count(slot.block) +
                          " stands in its map twice; run e2fsck on the partition");
    }
    Bytes content(fs_.block_size());
    ExtFilesystem::check(io_channel_read_blk64(fs_.handle()->io, slot.block, 1, content.data()),
                         name() + ": indirect block " + format_count(slot.block));
    const uint64_t step = blocks_below(slot.level - 1);
    const uint64_t from = range.first > slot.first ? (range.first - slot.first) / step : 0;
    for (uint64_t i = from; i < fan_out_ && slot.first + i * step < range.end(); ++i) {
        collect(child(slot, content, i), walk);
    }
}

void IndirectMap::replace(const BlockRange& range, std::span<const BlockRun> replacement,
                          MapChange& change) {
    const Edit edit{range, replacement, change};
    Bytes root(kMapRootSize);
    size_t index = 0;
    for (const Slot& slot : root_slots()) {
        store(root, index++ * sizeof(uint32_t), edit_slot(slot, edit));
    }
    change.set_root(root);
}

/// Returns the block that the slot holds afterwards.
uint32_t IndirectMap::edit_slot(const Slot& slot, const Edit& edit) const {
    const BlockRange mine{slot.first, blocks_below(slot.level)};
    if (!overlap(mine, edit.range)) {
        return slot.block;
    }
    if (slot.level == 0) {
        return physical_of(edit.replacement, slot.first);
    }
    const auto inside = [&](const BlockRun& run) { return part_of(run, mine).count != 0; };
    const auto new_one = std::ranges::find_if(edit.replacement, inside);
    if (slot.block == 0 && new_one == edit.replacement.end()) {
        return 0;
    }
    Bytes content(fs_.block_size());
    if (slot.block != 0) {
        content = edit.change.node(slot.block);
    }
    const Bytes before = content;
    const uint64_t step = blocks_below(slot.level - 1);
    const uint64_t from =
        edit.range.first > slot.first ? (edit.range.first - slot.first) / step : 0;
    for (uint64_t i = from; i < fan_out_ && slot.first + i * step < edit.range.end(); ++i) {
        store(content, i * sizeof(uint32_t), edit_slot(child(slot, content, i), edit));
    }
    if (std::ranges::all_of(content, [](std::byte byte) { return byte == std::byte{}; })) {
        if (slot.block != 0) {
            edit.change.give_back(slot.block, 1);
        }
        return 0;
    }
    if (content == before) {
        return slot.block;
    }
    const uint64_t block = slot.block != 0 ? slot.block : edit.change.take_node(new_one->physical);
    edit.change.set_node(block, std::move(content));
    return static_cast<uint32_t>(block);
}

}  // namespace imgfs
