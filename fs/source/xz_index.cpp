#include "fs/source/xz_index.h"

#include "fs/source/packed_reader.h"

namespace imgfs {
namespace {

constexpr uint64_t kIndexMemory = 48 * kMiB;
constexpr size_t kReadSize = 16 * kKiB;

struct Free {
    void operator()(lzma_index* index) const { lzma_index_end(index, nullptr); }
    void operator()(lzma_stream* stream) const { lzma_end(stream); }
};
using Index = std::unique_ptr<lzma_index, Free>;

/// Of all streams together; null if liblzma finds anything wrong with them.
Index read_index(const Source& packed) {
    lzma_stream stream = LZMA_STREAM_INIT;
    const std::unique_ptr<lzma_stream, Free> owner(&stream);
    lzma_index* index = nullptr;
    if (lzma_file_info_decoder(&stream, &index, kIndexMemory, packed.size()) != LZMA_OK) {
        throw std::bad_alloc();
    }
    PackedReader reader(packed, 0, kReadSize);
    for (;;) {
        const auto piece = reader.available();
        stream.next_in = reinterpret_cast<const uint8_t*>(piece.data());
        stream.avail_in = piece.size();
        const auto result = lzma_code(&stream, LZMA_RUN);
        reader.take(piece.size() - stream.avail_in);
        if (result == LZMA_STREAM_END) {
            return Index(index);
        }
        if (result == LZMA_SEEK_NEEDED) {
            reader.go_to(stream.seek_pos);
        } else if (result != LZMA_OK) {
            return nullptr;
        }
    }
}

}  // namespace

bool is_proof(lzma_check check) {
    return check != LZMA_CHECK_NONE && lzma_check_is_supported(check) != 0;
}

std::optional<LzmaUnitList> list_xz_blocks(const Source& packed) {
    const auto index = read_index(packed);
    if (!index || lzma_index_block_count(index.get()) > kMostListedUnits) {
        return std::nullopt;
    }
    LzmaUnitList list{.all_checked = true};
    lzma_index_iter block{};
    lzma_index_iter_init(&block, index.get());
    while (lzma_index_iter_next(&block, LZMA_INDEX_ITER_NONEMPTY_BLOCK) == 0) {
        const auto check = block.stream.flags->check;
        list.all_checked = list.all_checked && is_proof(check);
        list.units.push_back({.place = {.packed = block.block.compressed_file_offset,
                                        .kind = static_cast<uint8_t>(check)},
                              .packed_size = block.block.total_size,
                              .plain_size = block.block.uncompressed_size});
    }
    return list;
}

}  // namespace imgfs
