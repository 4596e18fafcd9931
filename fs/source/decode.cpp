#include "fs/source/decode.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include "fs/base/error.h"
#include "fs/source/gzip_source.h"
#include "fs/source/index_file.h"

namespace imgfs {
namespace {

using namespace std::string_view_literals;

/// A codec is known by the bytes its streams start with.
struct Codec {
    std::string_view magic;
    std::string_view name;
    std::string_view unpacker;  ///< command that decompresses; empty for what is handled here
};

constexpr std::array kCodecs = {
    Codec{"\x1f\x8b\x08"sv, "gzip", ""},
    Codec{"\x28\xb5\x2f\xfd"sv, "zstd", "zstd -dc"},
    Codec{"\xfd"
          "7zXZ\0"sv,
          "xz", "xz -dc"},
    Codec{"LZIP\x01"sv, "lzip", "lzip -dc"},
    Codec{"LRZI"sv, "lrzip", "lrzip -dqo -"},
    Codec{"\x89LZO\0\r\n\x1a\n"sv, "lzop", "lzop -dc"},
    Codec{"\x04\x22\x4d\x18"sv, "lz4", "lz4 -dc"},
    Codec{"\x02\x21\x4c\x18"sv, "lz4", "lz4 -dc"},
};
constexpr Codec kZstdSkippable = {"", "zstd", "zstd -dc"};
constexpr Codec kBzip2 = {"", "bzip2", "bzip2 -dc"};
constexpr Codec kLzma = {"", "lzma", "xz --format=lzma -dc"};

constexpr size_t kStartSize = 32;

bool is_zstd_skippable(ConstByteSpan start) {
    return start.size() >= 4 && (le32(start, 0) & 0xfffffff0) == 0x184d2a50;
}

bool is_bzip2(std::string_view start) {
    return start.starts_with("BZh") && start.size() >= 10 && start[3] >= '1' && start[3] <= '9' &&
           start.substr(4, 6) == "\x31\x41\x59\x26\x53\x59";
}

/// .lzma has no magic: properties byte as every encoder's default, a dictionary of 2^n or 2^n +
/// 2^(n-1) bytes, an unknown or sane size, and a first coded byte of zero.
bool is_lzma(ConstByteSpan start) {
    if (start.size() < 14 || start[0] != std::byte{0x5d} || start[13] != std::byte{}) {
        return false;
    }
    const uint64_t dictionary = le32(start, 1);
    const auto size = le64(start, 5);
    const bool sane_dictionary =
        dictionary >= 4096 && (std::has_single_bit(dictionary) ||
                               (dictionary % 3 == 0 && std::has_single_bit(dictionary / 3)));
    return sane_dictionary && (size == UINT64_MAX || size < (uint64_t{1} << 48));
}

const Codec* find_codec(const Source& packed) {
    Bytes start(std::min<uint64_t>(packed.size(), kStartSize));
    packed.read(0, start);
    const auto text = text_of(start);
    const auto found = std::ranges::find_if(
        kCodecs, [&](const Codec& codec) { return text.starts_with(codec.magic); });
    if (found != kCodecs.end()) {
        return &*found;
    }
    return is_zstd_skippable(start) ? &kZstdSkippable
           : is_bzip2(text)         ? &kBzip2
           : is_lzma(start)         ? &kLzma
                                    : nullptr;
}

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
