// The seek table at the end of a stream in zstd's seekable format: points without a pass over all.
#pragma once

#include <optional>
#include <vector>

#include "fs/source/codec.h"

namespace imgfs {

/// As the table has it, hostile. Written down it is the state of a point where the frame starts.
struct ListedFrame {
    static constexpr size_t kStateSize = 12;

    uint32_t packed_size = 0;
    uint32_t plain_size = 0;
    uint32_t checksum = 0;  ///< lower half of the plain bytes' XXH64
};

/// All frames of the stream, in order; nothing if there is no table that fits it, or one whose
/// frames can't each be decoded and checked alone, whole and up to a multiple of kHashedPiece.
std::optional<std::vector<ListedFrame>> list_zstd_frames(const Source& packed);

/// Is it the state of a point where a listed frame starts?
bool is_listed_frame(ConstByteSpan state);

/// Tells a point for each frame, and skips it. The pass starts at one of them, or at 0.
void skip_listed_frames(const Source& packed, const std::vector<ListedFrame>& frames,
                        const PassStart& start, PassSink& sink);

/// Gives out bytes of the frame there once all of it was decoded and its checksum agrees.
std::unique_ptr<Decoder> open_listed_frame(const Source& packed, const SeekPoint& point);

}  // namespace imgfs
