#include "fs/source/bzip2_block.h"

#include <bzlib.h>

#include <new>

namespace imgfs {
namespace {

constexpr uint64_t kLarge = kMiB;  // of what libbz2 asks for; malloc() keeps the smaller

/// Bits one after another, the highest of each byte first.
class BitWriter {
  public:
    explicit BitWriter(size_t bytes) { bytes_.reserve(bytes); }

    void add(uint32_t value, unsigned count) {
        held_ = held_ << count | value;
        for (bits_ += count; bits_ >= 8; bits_ -= 8) {
            bytes_.push_back(static_cast<std::byte>(held_ >> (bits_ - 8)));
        }
    }

    Bytes take() {
        add(0, (8 - bits_) % 8);
        return std::move(bytes_);
    }

  private:
    Bytes bytes_;
    uint64_t held_ = 0;  // its lowest bits_, fewer than 8 between calls
    unsigned bits_ = 0;
};

/// The piece as a stream of its own. The level only bounds what libbz2 allocates.
Bytes alone(const Bzip2Piece& piece) {
    constexpr uint32_t kHeader = 'B' << 24 | 'Z' << 16 | 'h' << 8 | '9';
    BitWriter writer(piece.bytes.size() + 16);
    writer.add(kHeader, kBzip2HeaderBits);
    const auto whole = piece.bits() / 8;
    const auto past = static_cast<unsigned>(piece.start_bit % 8);
    for (size_t i = 0; i < whole; ++i) {
        const auto two = std::to_integer<unsigned>(piece.bytes[i]) << 8 |
                         (past == 0 ? 0 : std::to_integer<unsigned>(piece.bytes[i + 1]));
        writer.add((two >> (8 - past)) & 0xff, 8);
    }
    const auto rest = static_cast<unsigned>(piece.bits() % 8);
    writer.add(piece.number(whole * 8, rest), rest);
    writer.add(kBzip2End >> 24, 24);
    writer.add(kBzip2End & 0xffffff, 24);
    writer.add(piece.number(kBzip2MarkBits, kBzip2CrcBits), kBzip2CrcBits);
    return writer.take();
}

}  // namespace

struct Bzip2Block::Stream {
    bz_stream bz{};

    Stream(Bytes& packed, SpareBytes& spares) : spares_(spares) {
        bz.opaque = this;
        bz.bzalloc = allocate;
        bz.bzfree = [](void*, void*) {};  // at the stream's end
        bz.next_in = reinterpret_cast<char*>(packed.data());
        bz.avail_in = static_cast<unsigned>(packed.size());
        if (::BZ2_bzDecompressInit(&bz, 0, 0) != BZ_OK) {
            throw std::bad_alloc();
        }
    }
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;
    ~Stream() {
        ::BZ2_bzDecompressEnd(&bz);
        for (auto& memory : memory_) {
            if (memory.size() >= kLarge) {
                spares_.give_back(std::move(memory));
            }
        }
    }

  private:
    static void* allocate(void* stream, int items, int size) {
        auto& self = *static_cast<Stream*>(stream);
        try {
            const auto bytes = static_cast<uint64_t>(items) * static_cast<uint64_t>(size);
            self.memory_.push_back(bytes < kLarge ? UnfilledBytes(bytes)
                                                  : self.spares_.take(bytes));
            return self.memory_.back().first(bytes).data();
        } catch (const std::bad_alloc&) {
            return nullptr;
        }
    }

    SpareBytes& spares_;
    std::vector<UnfilledBytes> memory_;
};

Bzip2Block::Bzip2Block(const Bzip2Piece& piece, SpareBytes& spares) {
    if (piece.bits() < kBzip2Smallest) {
        ended_ = broken_ = true;
        return;
    }
    packed_ = alone(piece);
    stream_ = std::make_unique<Stream>(packed_, spares);
}
Bzip2Block::Bzip2Block(Bzip2Block&&) noexcept = default;
Bzip2Block::~Bzip2Block() = default;

size_t Bzip2Block::read(ByteSpan out) {
    size_t made = 0;
    while (!ended_ && made < out.size()) {
        const auto room = std::min<size_t>(out.size() - made, kGiB);
        auto& bz = stream_->bz;
        bz.next_out = reinterpret_cast<char*>(out.data() + made);
        bz.avail_out = static_cast<unsigned>(room);
        const auto result = ::BZ2_bzDecompress(&bz);
        made += room - bz.avail_out;
        if (result == BZ_MEM_ERROR) {
            throw std::bad_alloc();
        }
        const bool starved = result == BZ_OK && bz.avail_out != 0;
        ended_ = result != BZ_OK || starved;
        broken_ = ended_ && (result != BZ_STREAM_END || bz.avail_in != 0);
    }
    return made;
}

}  // namespace imgfs
