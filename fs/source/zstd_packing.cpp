// Frames of zstd with their size and a checksum, and behind them the seek table of zstd's seekable
// format, a skippable frame:
//
//   0  4  5e 2a 4d 18             then, for each frame, its packed size (4), its plain size (4) and
//   4  4  bytes that follow       the lower half of the plain bytes' XXH64 (4); at the end the
//                                 number of frames (4), 0x80 (1) and b1 ea 92 8f
#include <zstd.h>

#include <cerrno>
#include <memory>
#include <new>

#include "fs/base/error.h"
#include "fs/source/packing.h"

namespace imgfs {
namespace {

constexpr uint32_t kSkippableMagic = 0x184d2a5e;
constexpr uint32_t kSeekTableMagic = 0x8f92eab1;
constexpr std::byte kHasChecksums{0x80};
constexpr size_t kHead = 8;
constexpr size_t kEntry = 12;
constexpr size_t kFoot = 9;

struct Free {
    void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};

/// One a thread: making it anew costs as much as a tenth of a piece.
ZSTD_CCtx& context() {
    thread_local const std::unique_ptr<ZSTD_CCtx, Free> mine(ZSTD_createCCtx());
    if (!mine) {
        throw std::bad_alloc();
    }
    return *mine;
}

size_t checked(size_t result) {
    if (ZSTD_isError(result) != 0) {
        fail(EIO, std::string("zstd: ") + ZSTD_getErrorName(result));
    }
    return result;
}

}  // namespace

Bytes pack_zstd(ConstByteSpan plain, int level) {
    auto& packer = context();
    checked(ZSTD_CCtx_setParameter(&packer, ZSTD_c_compressionLevel, level));
    checked(ZSTD_CCtx_setParameter(&packer, ZSTD_c_checksumFlag, 1));
    Bytes packed(ZSTD_compressBound(plain.size()));
    packed.resize(
        checked(ZSTD_compress2(&packer, packed.data(), packed.size(), plain.data(), plain.size())));
    return packed;
}

Bytes end_zstd(std::span<const PackedPiece> pieces) {
    Bytes table(kHead + pieces.size() * kEntry + kFoot);
    store(table, 0, kSkippableMagic);
    store(table, 4, static_cast<uint32_t>(table.size() - kHead));
    size_t at = kHead;
    for (const auto& piece : pieces) {
        store(table, at, piece.packed);
        store(table, at + 4, piece.plain);
        store(table, at + 8, piece.last);
        at += kEntry;
    }
    store(table, at, static_cast<uint32_t>(pieces.size()));
    table[at + 4] = kHasChecksums;
    store(table, at + 5, kSeekTableMagic);
    return table;
}

}  // namespace imgfs
