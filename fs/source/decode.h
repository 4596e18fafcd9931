// From packed bytes to plain ones: which codec a stream is, and random access into it.
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

#include "fs/source/seek_index.h"

namespace imgfs {

struct DecodeOptions {
    /// Where the seek index may be kept, best place first: it is read from the first that has a
    /// good one for these packed bytes (of large ones, from the last) and else written to the first
    /// that can be written (made with its parents). None: it lives in memory only.
    std::vector<std::filesystem::path> index_files;
    mode_t index_mode = 0600;  ///< of a new one
    /// If given, a new index must be kept: fails where it can't, with this as the way out.
    std::string index_way_out;
    /// Bytes of decoded segments kept in memory at most.
    uint64_t cache_size = 256 * kMiB;
    /// More seek points: a larger index, quicker reads.
    bool dense = false;
    /// Of the indexing pass, in packed bytes; called by who waits for it.
    Progress progress;
    /// If given, damage behind which the pass can go on (a checksum that disagrees, a block that is
    /// lost) is reported here, on another thread, and what can be had is read; the index is
    /// not kept for others. Else the pass ends there.
    std::function<void(const std::string&)> on_damage;
    /// What a person should be told in one line ("index … is damaged: rebuilt"); on any thread.
    std::function<void(const std::string&)> note;
    /// Changes of the parts' modification times etc. that make an index stale: part of its
    /// identity.
    Bytes packed_identity;
};

/// The codec by content, never by name: "gzip", "zstd", … or "none" for bytes that no codec's magic
/// starts.
std::string_view codec_of(const Source& packed);

struct Decoded {
    std::unique_ptr<Source> plain;
    /// How far the pass is; lives as long as `plain`. None if the bytes aren't compressed.
    const SeekIndex* index = nullptr;
};

/// The plain bytes. A codec that is known but not handled is refused with ENOTSUP, by name and with
/// the command that converts it. If there is no index, the pass that makes one runs in the
/// background as long as the result lives, and reads wait for it. What isn't compressed is passed
/// through.
Decoded decode(std::unique_ptr<Source> packed, const DecodeOptions& options);

}  // namespace imgfs
