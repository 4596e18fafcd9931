#include "fs/source/codec.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include "fs/base/error.h"
#include "fs/source/bzip2.h"
#include "fs/source/gzip.h"
#include "fs/source/lz4.h"
#include "fs/source/lzip.h"
#include "fs/source/lzma.h"
#include "fs/source/lzop.h"
#include "fs/source/xz.h"
#include "fs/source/zstd.h"

namespace imgfs {
namespace {

using namespace std::string_view_literals;

template <size_t size>
bool starts_with(ConstByteSpan start, const char (&magic)[size]) {
    return text_of(start).starts_with(std::string_view(magic, size - 1));
}

bool starts_xz(ConstByteSpan start) {
    return starts_with(start,
                       "\xfd"
                       "7zXZ\0");
}

bool starts_lzip(ConstByteSpan start) {
    return starts_with(start, "LZIP\x01");
}

bool starts_lrzip(ConstByteSpan start) {
    return starts_with(start, "LRZI");
}

/// .lzma has no magic: properties byte as every encoder's default, a dictionary of 2^n or 2^n +
/// 2^(n-1) bytes, an unknown or sane size, and a first coded byte of zero.
bool starts_lzma(ConstByteSpan start) {
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

constexpr std::array kCodecs = {
    Codec{"gzip", 1, starts_gzip, pass_gzip, open_gzip, true, false, kHashedPiece, ""},
    Codec{"zstd", 2, starts_zstd, pass_zstd, open_zstd, false, true, kHashedPiece, ""},
    Codec{"xz", 3, starts_xz, pass_xz, open_xz, true, true, kHashedPiece, ""},
    Codec{"lzip", 4, starts_lzip, pass_lzip, open_lzip, true, true, kHashedPiece, ""},
    Codec{"lzma", 5, starts_lzma, pass_lzma, open_lzma, true, false, kHashedPiece, ""},
    Codec{"bzip2", 6, starts_bzip2, pass_bzip2, open_bzip2, true, false, kHashedPiece, ""},
    Codec{"lz4", 7, starts_lz4, pass_lz4, open_lz4, true, false, 4 * kMiB, ""},
    Codec{"lzop", 8, starts_lzop, pass_lzop, open_lzop, true, true, kHashedPiece, ""},
    Codec{"lrzip", 9, starts_lrzip, nullptr, nullptr, false, false, kHashedPiece, "lrzip -dqo -"},
};

}  // namespace

const Codec* find_codec(const Source& packed) {
    Bytes start(std::min<uint64_t>(packed.size(), kCodecStart));
    packed.read(0, start);
    const auto* const found =
        std::ranges::find_if(kCodecs, [&](const Codec& codec) { return codec.starts(start); });
    return found == kCodecs.end() ? nullptr : found;
}

const Codec& codec_named(std::string_view name) {
    const auto* const found = std::ranges::find(kCodecs, name, &Codec::name);
    if (found == kCodecs.end()) {
        fail(EINVAL, std::string(name) + ": no such codec");
    }
    return *found;
}

}  // namespace imgfs
