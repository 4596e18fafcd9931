#include "fs/transfer/kept_blocks.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "fs/base/error.h"
#include "fs/base/text.h"
#include "fs/store/block.h"
#include "fs/view/ext_used_blocks.h"
#include "fs/view/ext_view.h"

namespace imgfs {
namespace {

constexpr uint64_t kFindBlocks = 64 * 1024;  // of the delta, at once
constexpr uint64_t kSectorSize = 512;

/// A raw image has no blocks of its own.
uint32_t block_size_of(const ImageInfo& info) {
    if (info.block_size != 0) {
        return static_cast<uint32_t>(info.block_size);
    }
    return info.device_size % kBlockSize == 0 ? kBlockSize : kSectorSize;
}

class Marks {
  public:
    Marks(uint32_t block_size, uint64_t block_count, ConstByteSpan bitmap)
        : block_size_(block_size), block_count_(block_count), words_((block_count + 63) / 64) {
        if (bitmap.empty()) {
            std::ranges::fill(words_, ~uint64_t{0});
        } else {
            std::memcpy(words_.data(), bitmap.data(),
                        std::min(bitmap.size(), words_.size() * sizeof(uint64_t)));
        }
    }

    /// All blocks that have one of these bytes.
    void add(uint64_t begin, uint64_t end) {
        const auto last = std::min(block_count_, (end + block_size_ - 1) / block_size_);
        for (auto block = begin / block_size_; block < last; ++block) {
            words_[block / 64] |= uint64_t{1} << (block % 64);
        }
    }

    BlockBitmap take() { return BlockBitmap(std::move(words_), block_count_); }

  private:
    const uint64_t block_size_;
    const uint64_t block_count_;
    std::vector<uint64_t> words_;
};

/// What was discarded counts as changed: the delta has it as zeros, which may have been written as
/// well, and a restore leaves alone what the image doesn't hold.
void add_changes(const DeltaStore& changes, uint64_t block_count, Marks& marks) {
    for (auto next = changes.next(0); next && *next < block_count;) {
        const auto end = std::min(*next + kFindBlocks, block_count);
        for (const auto& piece : changes.find(*next, end)) {
            if (piece.kind != StoredPiece::Kind::absent) {
                marks.add(piece.first_block * kBlockSize, piece.end() * kBlockSize);
            }
        }
        next = changes.next(end);
    }
}

/// Behind the last block stands what partclone doesn't save (of NTFS a copy of the first sector).
void refuse_changed_tail(const Content& content, uint64_t blocks_end) {
    const auto size = content.info.device_size;
    const auto changed = content.changes.next(blocks_end / kBlockSize);
    if (blocks_end < size && changed && *changed * kBlockSize < size) {
        fail(ENOTSUP, content.device.place(blocks_end) +
                          ": what was changed there, behind the last block of the file system, has "
                          "no place in a partclone image; use imgfs restore");
    }
}

KeptBlocks blocks_of_image(const Content& content) {
    const auto& info = content.info;
    const auto block_size = block_size_of(info);
    const auto block_count =
        info.block_size == 0 ? info.device_size / block_size : info.total_blocks;
    refuse_changed_tail(content, block_count * block_size);
    Marks marks(block_size, block_count, content.bitmap);
    add_changes(content.changes, blocks_of(info.device_size), marks);
    return {.file_system = info.file_system.empty() ? "raw" : info.file_system,
            .device_size = info.device_size,
            .block_size = block_size,
            .used = marks.take(),
            .note = {}};
}

}  // namespace

KeptBlocks kept_blocks(const Content& content) {
    if (!has_ext_superblock(content.device)) {
        return blocks_of_image(content);
    }
    auto ext = ext_used_blocks(content.device);
    if (!ext.doubt.empty()) {
        auto kept = blocks_of_image(content);
        kept.note = "the ext file system's own bitmaps aren't used (" + ext.doubt +
                    "): the blocks that the image has and those that were changed are kept";
        return kept;
    }
    const auto end = ext.block_count * ext.block_size;
    refuse_changed_tail(content, end);
    const auto behind = content.info.device_size - end;
    return {.file_system = "EXTFS",
            .device_size = ext.block_count * ext.block_size,
            .block_size = ext.block_size,
            .used = BlockBitmap(std::move(ext.words), ext.block_count),
            .note = behind < kMiB ? ""
                                  : "the last " + format_size(behind) +
                                        " of the partition lie behind the file system; as "
                                        "partclone does, the new image leaves them out"};
}

std::string UsedBlocks::place(uint64_t offset) const {
    const auto rank = offset / kept_.block_size;
    const auto block =
        rank < kept_.used.used_count() ? kept_.used.select(rank) : kept_.used.block_count();
    return device_.place(block * kept_.block_size + offset % kept_.block_size);
}

void UsedBlocks::read_inside(uint64_t offset, ByteSpan out) const {
    auto skip = offset % kept_.block_size;
    auto block = kept_.used.select(offset / kept_.block_size);
    while (!out.empty()) {
        const auto wanted = (skip + out.size() + kept_.block_size - 1) / kept_.block_size;
        const auto end =
            kept_.used.run_end(block, std::min<uint64_t>(block + wanted, kept_.used.block_count()));
        const auto length = std::min<uint64_t>((end - block) * kept_.block_size - skip, out.size());
        device_.read(block * kept_.block_size + skip, out.first(length));
        out = out.subspan(length);
        skip = 0;
        if (!out.empty()) {
            block = kept_.used.select(kept_.used.rank(end));
        }
    }
}

}  // namespace imgfs
