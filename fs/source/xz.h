// xz: one stream or several, of one block or many, with zero bytes between and behind them.
#pragma once

#include "fs/source/codec.h"

namespace imgfs {

void pass_xz(const Source& packed, const PassStart& start, const PassOptions& options,
             PassSink& sink);

std::unique_ptr<Decoder> open_xz(const Source& packed, const SeekPoint& point);

}  // namespace imgfs
