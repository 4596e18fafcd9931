// A node is a header (magic, entries, room, depth, generation; 12 bytes), its entries (12 bytes
// each) and, with metadata_csum, a checksum. The root has four entries and lies in the inode.
#include "fs/view/extent_tree.h"

#include <ext2fs/ext3_extents.h>

#include <algorithm>
#include <cerrno>

#include "fs/base/error.h"
#include "fs/base/text.h"

namespace imgfs {
namespace {

constexpr int kDeepest = 5;
constexpr size_t kEntrySize = 12;  // the header's too
constexpr size_t kRootRoom = kMapRootSize / kEntrySize - 1;
constexpr uint64_t kLongestWritten = EXT_INIT_MAX_LEN;
constexpr uint64_t kLongestUnwritten = EXT_UNINIT_MAX_LEN;

uint64_t longest(const BlockRun& run) {
    return run.unwritten ? kLongestUnwritten : kLongestWritten;
}

BlockRun leaf_entry(ConstByteSpan bytes) {
    const uint32_t length = le16(bytes, 4);
    const bool unwritten = length > kLongestWritten;
    return {.logical = le32(bytes, 0),
            .physical = uint64_t{le16(bytes, 6)} << 32 | le32(bytes, 8),
            .count = unwritten ? length - kLongestWritten : length,
            .unwritten = unwritten};
}

BlockRun inner_entry(ConstByteSpan bytes) {
    return {.logical = le32(bytes, 0), .physical = uint64_t{le16(bytes, 8)} << 32 | le32(bytes, 4)};
}

void put_leaf_entry(ByteSpan bytes, const BlockRun& run) {
    store(bytes, 0, static_cast<uint32_t>(run.logical));
    store(bytes, 4, static_cast<uint16_t>(run.count + (run.unwritten ? kLongestWritten : 0)));
    store(bytes, 6, static_cast<uint16_t>(run.physical >> 32));
    store(bytes, 8, static_cast<uint32_t>(run.physical));
}

void put_inner_entry(ByteSpan bytes, const BlockRun& run) {
    store(bytes, 0, static_cast<uint32_t>(run.logical));
    store(bytes, 4, static_cast<uint32_t>(run.physical));
    store(bytes, 8, static_cast<uint16_t>(run.physical >> 32));
}

/// Adds the run to the end of `entries`, as a part of the last one if they touch.
void append(std::vector<BlockRun>& entries, BlockRun run) {
    if (!entries.empty()) {
        BlockRun& last = entries.back();
        if (last.end() == run.logical && last.physical + last.count == run.physical &&
            last.unwritten == run.unwritten && last.count + run.count <= longest(run)) {
            last.count += run.count;
            return;
        }
    }
    while (run.count > longest(run)) {
        const uint64_t head = longest(run);
        entries.push_back({run.logical, run.physical, head, run.unwritten});
        run.logical += head;
        run.physical += head;
        run.count -= head;
    }
    if (run.count != 0) {
        entries.push_back(run);
    }
}

std::vector<BlockRun> spliced(const std::vector<BlockRun>& entries, const BlockRange& range,
                              std::span<const BlockRun> replacement) {
    std::vector<BlockRun> result;
    for (const BlockRun& run : entries) {
        append(result, part_of(run, {0, range.first}));
    }
    for (const BlockRun& run : replacement) {
        append(result, run);
    }
    for (const BlockRun& run : entries) {
        append(result, part_of(run, {range.end(), UINT32_MAX}));
    }
    return result;
}

/// What child `index` answers for: the first and the last also for what lies outside the keys.
BlockRange domain(const std::vector<BlockRun>& entries, size_t index) {
    const uint64_t first = index == 0 ? 0 : entries[index].logical;
    const uint64_t end =
        index + 1 < entries.size() ? entries[index + 1].logical : uint64_t{UINT32_MAX} + 1;
    return {first, end - first};
}

bool overlap(const BlockRange& a, const BlockRange& b) {
    return a.first < b.end() && b.first < a.end();
}

}  // namespace

std::string ExtentTree::name() const {
    return "inode " + std::to_string(number_);
}

size_t ExtentTree::capacity() const {
    return (fs_.block_size() - kEntrySize) / kEntrySize;  // 4 bytes are left for the checksum
}

ExtentTree::Node ExtentTree::root() const {
    const auto bytes = std::as_bytes(std::span(inode_.i_block));
    const int depth = le16(bytes, 6);
    if (depth > kDeepest) {
        fail(EUCLEAN, name() + ": an extent tree of depth " + std::to_string(depth));
    }
    return parse(bytes, 0, depth);
}

ExtentTree::Node ExtentTree::child(const Node& parent, size_t index,
                                   const MapChange* change) const {
    const uint64_t block = parent.entries[index].physical;
    Bytes bytes(fs_.block_size());
    if (change != nullptr) {
        bytes = change->node(block);
    } else {
        ExtFilesystem::check(io_channel_read_blk64(fs_.handle()->io, block, 1, bytes.data()),
                             name() + ": extent block " + format_count(block));
    }
    Node node = parse(bytes, block, parent.level - 1);
    if (node.entries.empty() ||
        node.entries.front().logical < domain(parent.entries, index).first ||
        node.entries.back().logical >= domain(parent.entries, index).end()) {
        fail(EUCLEAN, name() + ": extent block " + format_count(block) +
                          " holds other blocks of the file than its parent says");
    }
    return node;
}

ExtentTree::Node ExtentTree::parse(ConstByteSpan bytes, uint64_t block, int level) const {
    const size_t count = le16(bytes, 2);
    const size_t room = le16(bytes, 4);
    const std::string place =
        name() + (block == 0 ? "" : ": extent block " + format_count(block)) + ": ";
    if (le16(bytes, 0) != EXT3_EXT_MAGIC || le16(bytes, 6) != level || count > room ||
        room > bytes.size() / kEntrySize - 1) {
        fail(EUCLEAN, place + "not the extents that are expected here");
    }
    if (block != 0) {
        Bytes copy(bytes.begin(), bytes.end());
        const auto header = reinterpret_cast<ext3_extent_header*>(copy.data());
        const bool is_right = ext2fs_extent_block_csum_verify(fs_.handle(), number_, header) != 0;
        ExtFilesystem::check(0, place);  // the inode is read for it
        if (!is_right) {
            fail(EUCLEAN, place + "the checksum is wrong");
        }
    }
    Node node{.block = block, .level = level};
    node.entries.reserve(count);
    for (size_t i = 0; i < count; ++i) {
        const auto entry = bytes.subspan((i + 1) * kEntrySize, kEntrySize);
        node.entries.push_back(level == 0 ? leaf_entry(entry) : inner_entry(entry));
    }
    check_entries(node);
    return node;
}

void ExtentTree::check_entries(const Node& node) const {
    const uint64_t blocks = ext2fs_blocks_count(fs_.handle()->super);
    uint64_t free_from = 0;
    for (const BlockRun& entry : node.entries) {
        const uint64_t count = node.level == 0 ? entry.count : 1;
        if (count == 0 || entry.logical < free_from || entry.logical + count > UINT32_MAX + 1ULL ||
            entry.physical == 0 || entry.physical >= blocks || count > blocks - entry.physical) {
            fail(EUCLEAN, name() + ": an extent that can't be, of " + format_count(count) +
                              " blocks from " + format_count(entry.physical) + " on");
        }
        free_from = entry.logical + count;
    }
    if (node.level != 0 && node.entries.empty()) {
        fail(EUCLEAN, name() + ": an extent node without children");
    }
}

std::vector<BlockRun> ExtentTree::runs(const BlockRange& range) const {
    std::vector<BlockRun> found;
    collect(root(), range, found);
    return found;
}

void ExtentTree::collect(const Node& node, const BlockRange& range,
                         std::vector<BlockRun>& found) const {
    const auto& entries = node.entries;
    // From the last entry that begins at or before the range on.
    auto at = std::ranges::upper_bound(entries, range.first, {}, &BlockRun::logical);
    if (at != entries.begin()) {
        --at;
    }
    for (; at != entries.end() && at->logical < range.end(); ++at) {
        if (node.level != 0) {
            collect(child(node, static_cast<size_t>(at - entries.begin()), nullptr), range, found);
        } else if (const BlockRun part = part_of(*at, range); part.count != 0) {
            found.push_back(part);
        }
    }
}

void ExtentTree::replace(const BlockRange& range, std::span<const BlockRun> replacement,
                         MapChange& change) {
    const Edit edit{range, replacement, change};
    Node node = root();
    if (edit_entries(node, edit)) {
        store_root(std::move(node), edit);
    }
}

/// Does the edit in and below the node; false if the node's own entries stay as they are.
bool ExtentTree::edit_entries(Node& node, const Edit& edit) const {
    std::vector<BlockRun> entries;
    if (node.level == 0) {
        entries = spliced(node.entries, edit.range, edit.replacement);
    }
    for (size_t i = 0; node.level != 0 && i < node.entries.size(); ++i) {
        const auto stay = edit_child(node, i, edit);
        entries.insert(entries.end(), stay.begin(), stay.end());
    }
    const bool changed = entries != node.entries;
    node.entries = std::move(entries);
    return changed;
}

/// What takes the place of the parent's entry. All that is new goes into the child that answers for
/// the first block of the range; the others only lose.
std::vector<BlockRun> ExtentTree::edit_child(const Node& parent, size_t index,
                                             const Edit& edit) const {
    const BlockRange mine = domain(parent.entries, index);
    if (!overlap(mine, edit.range)) {
        return {parent.entries[index]};
    }
    const bool gets_all = edit.range.first >= mine.first;
    const Edit part{edit.range, gets_all ? edit.replacement : std::span<const BlockRun>{},
                    edit.change};
    Node node = child(parent, index, &edit.change);
    if (!edit_entries(node, part)) {
        return {parent.entries[index]};
    }
    return store(node, part);
}

/// Writes the node, as several if it has grown too large, as none if it is empty; returns the
/// entries for its parent.
std::vector<BlockRun> ExtentTree::store(const Node& node, const Edit& edit) const {
    const auto& all = node.entries;
    if (all.empty()) {
        edit.change.give_back(node.block, 1);
        return {};
    }
    const size_t pieces = (all.size() + capacity() - 1) / capacity();
    // A file that grows at its end leaves full nodes behind, any other growth room in each.
    const bool at_end = all.back().end() <= edit.range.end();
    const size_t share = at_end ? capacity() : (all.size() + pieces - 1) / pieces;
    std::vector<BlockRun> index;
    for (size_t i = 0; i < all.size(); i += share) {
        const auto first = all.begin() + static_cast<ptrdiff_t>(i);
        const auto count = static_cast<ptrdiff_t>(std::min(share, all.size() - i));
        const Node piece{.block = i == 0 && node.block != 0
                                      ? node.block
                                      : edit.change.take_node(first->physical),
                         .level = node.level,
                         .entries = {first, first + count}};
        edit.change.set_node(piece.block, node_bytes(piece, fs_.block_size(), capacity()));
        index.push_back({.logical = piece.entries.front().logical, .physical = piece.block});
    }
    return index;
}

void ExtentTree::store_root(Node node, const Edit& edit) const {
    while (node.entries.size() > kRootRoom) {
        const int level = node.level + 1;
        node = {.block = 0, .level = level, .entries = store(node, edit)};
    }
    while (node.level > 0 && node.entries.size() == 1) {
        const Node only = child(node, 0, &edit.change);
        if (only.entries.size() > kRootRoom) {
            break;
        }
        edit.change.give_back(only.block, 1);
        node = {.block = 0, .level = only.level, .entries = only.entries};
    }
    if (node.entries.empty()) {
        node.level = 0;
    }
    edit.change.set_root(node_bytes(node, kMapRootSize, kRootRoom));
}

Bytes ExtentTree::node_bytes(const Node& node, size_t size, size_t room) const {
    Bytes bytes(size);
    imgfs::store(bytes, 0, static_cast<uint16_t>(EXT3_EXT_MAGIC));
    imgfs::store(bytes, 2, static_cast<uint16_t>(node.entries.size()));
    imgfs::store(bytes, 4, static_cast<uint16_t>(room));
    imgfs::store(bytes, 6, static_cast<uint16_t>(node.level));
    for (size_t i = 0; i < node.entries.size(); ++i) {
        const auto entry = ByteSpan(bytes).subspan((i + 1) * kEntrySize, kEntrySize);
        if (node.level == 0) {
            put_leaf_entry(entry, node.entries[i]);
        } else {
            put_inner_entry(entry, node.entries[i]);
        }
    }
    if (node.block != 0) {
        const auto header = reinterpret_cast<ext3_extent_header*>(bytes.data());
        ExtFilesystem::check(ext2fs_extent_block_csum_set(fs_.handle(), number_, header), name());
    }
    return bytes;
}

}  // namespace imgfs
