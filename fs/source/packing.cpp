#include "fs/source/packing.h"

#include <algorithm>
#include <array>

namespace imgfs {
namespace {

Bytes copy(ConstByteSpan plain, int /*level*/) {
    return {plain.begin(), plain.end()};
}

Bytes nothing(std::span<const PackedPiece> /*pieces*/) {
    return {};
}

constexpr size_t kGzipPiece = 16 * size_t{0xff00};  // whole blocks

constexpr std::array kPackings = {
    Packing{"zstd", 1, 19, 2, kMiB, pack_zstd, end_zstd},
    Packing{"gzip", 1, 9, 1, kGzipPiece, pack_gzip, end_gzip},
    Packing{"lz4", 1, 12, 1, kMiB, pack_lz4, nothing},
    Packing{"none", 0, 0, 0, kMiB, copy, nothing},
};

}  // namespace

const Packing* find_packing(std::string_view name) {
    const auto* const found = std::ranges::find(kPackings, name, &Packing::name);
    return found == kPackings.end() ? nullptr : found;
}

}  // namespace imgfs
