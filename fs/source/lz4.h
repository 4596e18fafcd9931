// lz4: frames (linked or independent blocks), legacy frames, skippable frames, any number of them.
#pragma once

#include "fs/source/codec.h"

namespace imgfs {

bool starts_lz4(ConstByteSpan start);

/// Points stand at blocks; where blocks are linked they hold the 64 KiB before them. Nothing in a
/// block says how long its plain bytes are, so every block is decoded: on all cores, but linked
/// ones one after another. A point's state is also what a later pass needs to go on in its frame.
void pass_lz4(const Source& packed, const PassStart& start, const PassOptions& options,
              PassSink& sink);

std::unique_ptr<Decoder> open_lz4(const Source& packed, const SeekPoint& point);

}  // namespace imgfs
