// gzip's member header and trailer (RFC 1952).
#pragma once

#include "fs/source/packed_reader.h"

namespace imgfs {

struct GzipTrailer {
    uint32_t crc = 0;
    uint32_t plain_size = 0;  ///< modulo 2^32
};

/// Reads a member's header; EUCLEAN if it isn't one.
void skip_gzip_header(PackedReader& reader);

GzipTrailer read_gzip_trailer(PackedReader& reader);

/// After a member: is there another one? Zero bytes up to the end (tape padding) are passed over;
/// anything else is EUCLEAN.
bool another_gzip_member(PackedReader& reader);

}  // namespace imgfs
