// GzipIndex: where decoding a gzip stream can start, and what the plain bytes hash to.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "fs/base/progress.h"
#include "fs/source/gzip_decoder.h"
#include "fs/source/inflater.h"
#include "fs/source/source.h"

namespace imgfs {

constexpr uint64_t kSeekSpacing = 4 * kMiB;  ///< plain bytes between two seek points, at least

/// A place at the start of a deflate block.
struct GzipSeekPoint {
    uint64_t plain = 0;       ///< offset of the first plain byte
    uint64_t packed_bit = 0;  ///< in bits from the start of the packed stream
    Bytes history;  ///< up to 32 KiB of plain bytes before it, deflated; empty at a member's start
};

struct GzipIndex {
    uint64_t plain_size = 0;
    std::vector<GzipSeekPoint> points;  ///< ascending; the first at plain offset 0
    std::vector<uint64_t> hashes;       ///< XXH3-64 of each piece, the last one maybe shorter
};

struct GzipIndexOptions {
    Progress progress = {};  ///< in packed bytes
    InflateEngine engine = InflateEngine::fastest;
    /// Told of a member that disagrees with its CRC or size; if empty, that is EUCLEAN.
    std::function<void(const std::string&)> on_damage = {};
};

/// Reads the whole stream once, checks each member's CRC and size, and makes the index. EUCLEAN
/// names the place of damage. With the fastest engine, points stand at the sync markers that pigz
/// and `gzip --rsyncable` leave; a stream without them is read by zlib.
GzipIndex build_gzip_index(const Source& packed, const GzipIndexOptions& options);

/// Decodes plain bytes [begin, begin + out.size()), which start at or after the point; EUCLEAN if
/// the stream doesn't hold them.
void decode_from(const Source& packed, const GzipSeekPoint& point, uint64_t begin, ByteSpan out,
                 InflateEngine engine = InflateEngine::fastest);

}  // namespace imgfs
