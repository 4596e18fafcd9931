// Blocks as bgzip writes them: members of gzip of 64 KiB at most, each with a header that says how
// long it is (SAM specification, 4.1):
//
//    0  4  1f 8b 08 04          10  2  6: bytes of the extra field    16  2  bytes of the block - 1
//    4  6  0 0 0 0 0 ff         12  4  42 43 02 00                    18     deflated bytes
//
// and behind these their CRC-32 (4) and the number of plain bytes (4).
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <new>

#include "fs/base/error.h"
#include "fs/source/inflater.h"
#include "fs/source/packing.h"

namespace imgfs {
namespace {

constexpr size_t kPlainMost = 0xff00;  // as bgzip: even stored it fits a block
constexpr size_t kBlockMost = 0x10000;
constexpr size_t kHead = 18;
constexpr size_t kFoot = 8;
constexpr std::array<uint8_t, 16> kHeadStart = {0x1f, 0x8b, 8, 4, 0,    0,    0, 0,
                                                0,    0xff, 6, 0, 0x42, 0x43, 2, 0};

class Deflater {
  public:
    explicit Deflater(int level) {
        constexpr int kNoHeader = -15;
        constexpr int kUsualMemory = 8;
        if (::deflateInit2(&stream_, level, Z_DEFLATED, kNoHeader, kUsualMemory,
                           Z_DEFAULT_STRATEGY) != Z_OK) {
            throw std::bad_alloc();
        }
    }
    Deflater(const Deflater&) = delete;
    Deflater& operator=(const Deflater&) = delete;
    ~Deflater() { ::deflateEnd(&stream_); }

    /// Bytes written.
    size_t deflate(ConstByteSpan plain, ByteSpan out) {
        ::deflateReset(&stream_);
        stream_.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(plain.data()));
        stream_.avail_in = static_cast<uInt>(plain.size());
        stream_.next_out = reinterpret_cast<Bytef*>(out.data());
        stream_.avail_out = static_cast<uInt>(out.size());
        if (::deflate(&stream_, Z_FINISH) != Z_STREAM_END) {
            fail(EIO, "zlib: a block becomes longer than it may");
        }
        return out.size() - stream_.avail_out;
    }

  private:
    z_stream stream_{};
};

void add_block(Deflater& deflater, ConstByteSpan plain, Bytes& packed) {
    const auto start = packed.size();
    packed.resize(start + kBlockMost);
    const auto block = ByteSpan(packed).subspan(start);
    std::ranges::copy(std::as_bytes(std::span(kHeadStart)), block.begin());
    const auto end =
        kHead + deflater.deflate(plain, block.subspan(kHead, kBlockMost - kHead - kFoot));
    store(block, kHeadStart.size(), static_cast<uint16_t>(end + kFoot - 1));
    store(block, end, gzip_crc(plain, 0));
    store(block, end + 4, static_cast<uint32_t>(plain.size()));
    packed.resize(start + end + kFoot);
}

}  // namespace

Bytes pack_gzip(ConstByteSpan plain, int level) {
    Deflater deflater(level);
    Bytes packed;
    packed.reserve((plain.size() / kPlainMost + 1) * kBlockMost);
    while (!plain.empty()) {
        const auto part = plain.first(std::min(plain.size(), kPlainMost));
        add_block(deflater, part, packed);
        plain = plain.subspan(part.size());
    }
    return packed;
}

Bytes end_gzip(std::span<const PackedPiece> /*pieces*/) {
    Bytes packed;
    Deflater deflater(1);
    add_block(deflater, {}, packed);
    return packed;
}

}  // namespace imgfs
