// Frame headers and block headers of zstd (RFC 8878, 3.1.1).
#pragma once

#include <optional>

#include "fs/source/source.h"

namespace imgfs {

constexpr uint32_t kZstdMagic = 0xfd2fb528;
constexpr size_t kZstdBlockHeader = 3;
constexpr size_t kZstdChecksum = 4;
constexpr uint64_t kZstdBlockMost = 128 * kKiB;  ///< packed or plain bytes of a block
/// Of windows that are accepted; `zstd --long=31` writes them.
constexpr uint64_t kZstdWindowMost = 2 * kGiB;

/// What a frame's header says.
struct ZstdFrame {
    uint64_t packed_size = 0;  ///< of the header; of all of a skippable frame
    bool skippable = false;
    uint64_t window = 0;  ///< how far back blocks refer, in plain bytes
    std::optional<uint64_t> content_size;
    bool checksum = false;  ///< four bytes of XXH64 follow the last block
};

/// The frame at `offset`; none at the end of the stream, which zeros may fill up. EUCLEAN with a
/// clear line where none starts, and for the formats before zstd 0.8, for frames that need a
/// dictionary, and for windows over kZstdWindowMost.
std::optional<ZstdFrame> next_zstd_frame(const Source& packed, uint64_t offset);

bool is_zstd_skippable(uint32_t magic);
/// Of a format before zstd 0.8.
bool is_old_zstd(uint32_t magic);

/// A header without checksum and content size for frames with such a window.
Bytes zstd_header_for(uint64_t window);

struct ZstdBlockHeader {
    enum class Kind : uint8_t { raw, rle, compressed, reserved };
    Kind kind = Kind::raw;
    bool last = false;
    uint32_t size = 0;  ///< as it stands there: of an RLE block, its plain bytes

    /// Bytes behind the header.
    uint32_t body() const { return kind == Kind::rle ? 1 : size; }
};

/// From its kZstdBlockHeader bytes.
ZstdBlockHeader zstd_block_header(ConstByteSpan bytes);

/// Can such a block be in a frame with that window?
bool is_sound(const ZstdBlockHeader& block, uint64_t window);

}  // namespace imgfs
