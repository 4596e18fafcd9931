// Packing: how plain bytes become a packed stream of small pieces, each of which can be decoded
// alone. A way of packing is one row of a constant table.
#pragma once

#include <span>
#include <string_view>

#include "fs/base/bytes.h"

namespace imgfs {

/// What a seek table says of a piece.
struct PackedPiece {
    uint32_t packed = 0;  ///< bytes
    uint32_t plain = 0;
    uint32_t last = 0;  ///< its last four bytes; of a zstd frame its checksum
};

struct Packing {
    std::string_view name;  ///< of the codec that reads it, or "none"
    int least_level = 0;
    int most_level = 0;
    int usual_level = 0;
    size_t piece_size = 0;  ///< plain bytes of each piece but the last
    /// Safe from any thread. `plain` isn't empty, nor longer than a piece.
    Bytes (*pack)(ConstByteSpan plain, int level);
    /// What stands behind the last piece.
    Bytes (*end)(std::span<const PackedPiece> pieces);
};

/// The row of that name, or null.
const Packing* find_packing(std::string_view name);

Bytes pack_zstd(ConstByteSpan plain, int level);
/// The seek table of zstd's seekable format.
Bytes end_zstd(std::span<const PackedPiece> pieces);

/// In blocks as bgzip makes them; each says how long it is.
Bytes pack_gzip(ConstByteSpan plain, int level);
/// The empty block that says that the file is whole.
Bytes end_gzip(std::span<const PackedPiece> pieces);

Bytes pack_lz4(ConstByteSpan plain, int level);

}  // namespace imgfs
