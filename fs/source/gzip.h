// gzip (RFC 1951, RFC 1952): one member or many, by whatever program.
#pragma once

#include "fs/source/codec.h"

namespace imgfs {

bool starts_gzip(ConstByteSpan start);

/// Points stand at starts of deflate blocks and hold the 32 KiB before them. With ISA-L they stand
/// behind the sync markers that pigz and `gzip --rsyncable` leave, between which it decodes on all
/// cores; a stream without them is read by zlib, on one.
void pass_gzip(const Source& packed, const PassStart& start, const PassOptions& options,
               PassSink& sink);

std::unique_ptr<Decoder> open_gzip(const Source& packed, const SeekPoint& point);

}  // namespace imgfs
