#include "fs/source/decode.h"

#include <cerrno>

#include "fs/base/error.h"
#include "fs/source/decoded_source.h"
#include "fs/source/index_places.h"

namespace imgfs {

std::string_view codec_of(const Source& packed) {
    const auto* codec = find_codec(packed);
    return codec == nullptr ? "none" : codec->name;
}

Decoded decode(std::unique_ptr<Source> packed, const DecodeOptions& options) {
    const auto* codec = find_codec(*packed);
    if (codec == nullptr) {
        return {.plain = std::move(packed)};
    }
    if (!codec->unpacker.empty()) {
        fail(ENOTSUP, packed->place(0) + ": compressed with " + std::string(codec->name) +
                          ", which this version doesn't read; convert it: cat PARTS | " +
                          std::string(codec->unpacker) + " | pigz >NEW.gz");
    }
    auto found = find_index(
        options.index_files,
        {.codec = codec->number,
         .packed_size = packed->size(),
         .packed = options.packed_identity,
         .dense = options.dense,
         .skips = codec->skips},
        {.kept = !options.on_damage, .mode = options.index_mode, .way_out = options.index_way_out},
        options.note);
    const bool dense = found.file.is_dense();
    auto index = std::make_unique<SeekIndex>(std::move(found.file), std::move(found.end),
                                             packed->size(), options.progress);
    const auto* const known = index.get();
    const DecodedOptions decoding{
        .cache_size = options.cache_size,
        .pass = {.dense = dense},
        .reports = {.note = options.note, .on_damage = options.on_damage}};
    return {std::make_unique<DecodedSource>(std::move(packed), *codec, std::move(index), decoding),
            known};
}

}  // namespace imgfs
