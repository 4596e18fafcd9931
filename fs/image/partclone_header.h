// PartcloneHeader: what a partclone image says at its start, of both versions.
#pragma once

#include <string>

#include "fs/image/strip_checksum.h"
#include "fs/source/source.h"

namespace imgfs {

/// How the stream says which blocks are used; as the header of version 0002 stores it.
enum class BitmapMode : uint8_t {
    none = 0,  ///< all of them are
    bits = 1,
    bytes = 8  ///< one a block
};

/// What stands behind header or bitmap to show that it is whole.
enum class Proof {
    none,
    crc,  ///< always of 4 bytes, whatever the blocks have
    mark  ///< kBitmapMark
};
constexpr std::string_view kBitmapMark = "BiTmAgIc";
uint64_t size_of(Proof proof);

struct PartcloneHeader {
    std::string version;  ///< "0001" or "0002"
    std::string made_by;  ///< partclone's version, printable; empty if the image doesn't say it
    std::string file_system;
    uint64_t size = 0;  ///< of the header itself, with its proof
    uint64_t device_size = 0;
    uint64_t total_blocks = 0;
    uint32_t block_size = 0;
    BitmapMode bitmap_mode = BitmapMode::bits;
    ChecksumMode checksum_mode = ChecksumMode::none;
    uint16_t checksum_size = 0;
    uint32_t blocks_per_checksum = 0;  ///< 0 if there are no checksums
    bool checksums_restart = true;

    /// Without what stands behind it.
    uint64_t bitmap_size() const;
    Proof proof() const { return version == "0001" ? Proof::none : Proof::crc; }
};

/// Checks every field, and the header's checksum where it has one; total_blocks * block_size <=
/// device_size < 2^63 holds after it.
PartcloneHeader read_partclone_header(const Source& plain);

/// The stream has no byte at its bound(), where there should be one; `where` says what.
[[noreturn]] void fail_cut_short(const Source& plain, const std::string& where);

}  // namespace imgfs
