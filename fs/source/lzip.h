// lzip: one member (lzip) or many (plzip, tarlz), and what may stand behind them.
#pragma once

#include "fs/source/codec.h"

namespace imgfs {

void pass_lzip(const Source& packed, const PassStart& start, const PassOptions& options,
               PassSink& sink);

std::unique_ptr<Decoder> open_lzip(const Source& packed, const SeekPoint& point);

}  // namespace imgfs
