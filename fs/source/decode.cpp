#include "fs/source/decode.h"

#include <algorithm>
#include <cerrno>

#include "fs/base/error.h"
#include "fs/source/codec.h"
#include "fs/source/gzip_source.h"
#include "fs/source/index_file.h"

namespace imgfs {
namespace {

/// The index from the first place that has a good one.
std::optional<GzipIndex> find_index(const Source& packed, const DecodeOptions& options) {
    for (const auto& path : options.index_files) {
        auto loaded = load_index(path, packed.size(), options.packed_identity);
        if (loaded.state == IndexState::good) {
            return std::move(loaded.index);
        }
        if (loaded.state != IndexState::none && options.note) {
            options.note(path.string() + ": " +
                         (loaded.state == IndexState::stale ? "is of other files or another version"
                                                            : "is damaged") +
                         "; the index is made again");
        }
    }
    return std::nullopt;
}

void keep_index(const Source& packed, const DecodeOptions& options, const GzipIndex& index) {
    std::string reason;
    for (const auto& path : options.index_files) {
        try {
            save_index(path, packed.size(), options.packed_identity, index);
            return;
        } catch (const std::exception& error) {
            reason = message_of(error);
        }
    }
    if (!options.index_files.empty() && options.note) {
        options.note("the seek index can't be kept (" + reason +
                     "); it will be made again next time");
    }
}

std::unique_ptr<Source> decode_gzip(std::unique_ptr<Source> packed, const DecodeOptions& options) {
    auto index = find_index(*packed, options);
    if (!index) {
        bool damaged = false;
        GzipIndexOptions indexing{.progress = options.progress};
        if (options.on_damage) {
            indexing.on_damage = [&](const std::string& line) {
                damaged = true;
                options.on_damage(line);
            };
        }
        index = build_gzip_index(*packed, indexing);
        if (!damaged) {
            keep_index(*packed, options, *index);
        }
    }
    return std::make_unique<GzipSource>(std::move(packed), std::move(*index), options.cache_size);
}

}  // namespace

std::string_view codec_of(const Source& packed) {
    const auto* codec = find_codec(packed);
    return codec == nullptr ? "none" : codec->name;
}

std::unique_ptr<Source> decode(std::unique_ptr<Source> packed, const DecodeOptions& options) {
    const auto* codec = find_codec(*packed);
    if (codec == nullptr) {
        return packed;
    }
    if (!codec->unpacker.empty()) {
        fail(ENOTSUP, packed->place(0) + ": compressed with " + std::string(codec->name) +
                          ", which this version doesn't read; convert it: cat PARTS | " +
                          std::string(codec->unpacker) + " | pigz >NEW.gz");
    }
    return decode_gzip(std::move(packed), options);
}

}  // namespace imgfs
