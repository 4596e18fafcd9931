// What a seek point inside a zstd frame keeps, and the dictionary that libzstd decodes it with.
#pragma once

#include <cstdlib>
#include <memory>

#include "fs/base/checksum.h"
#include "fs/source/codec.h"
#include "fs/source/zstd_block.h"
#include "fs/source/zstd_history.h"

namespace imgfs {

/// All but the history. ZSTD_POINTS.md has its encoding.
struct ZstdPlace {
    uint64_t window = 0;
    uint64_t frame_start = 0;  ///< plain offset of the frame's first byte
    bool in_jobs = false;      ///< points before it showed that zstd compressed in jobs
    std::optional<uint64_t> content_size;
    std::array<uint32_t, 3> repeats{};
    ZstdTables tables;
    std::optional<Xxh64::State> checksum;  ///< running, if the frame has one
};

/// Zeros until it is written to; pages that nobody has written take no memory.
class ZeroBytes {
  public:
    explicit ZeroBytes(size_t size);
    std::byte* data() const { return bytes_.get(); }
    size_t size() const { return size_; }
    std::byte* begin() const { return data(); }
    std::byte* end() const { return data() + size_; }

  private:
    struct Free {
        size_t mapped;  ///< bytes; 0 if they are malloc's
        void operator()(std::byte* bytes) const;
    };
    std::unique_ptr<std::byte, Free> bytes_;
    size_t size_;
};

struct ZstdState {
    ZstdPlace place;
    /// A dictionary for libzstd: tables, repeat offsets, then the plain bytes before the point,
    /// zero where they aren't needed.
    ZeroBytes dictionary;
};

/// A seek point's state; none if it would be larger than any that is read back.
std::optional<Bytes> packed_zstd_state(const ZstdPlace& place, const SparseHistory& history);

/// What packed_zstd_state() made; EUCLEAN for anything else. Takes no more memory than the window.
ZstdState unpacked_zstd_state(ConstByteSpan packed);

/// Bytes that decoding with a state takes.
struct ZstdNeeds {
    uint64_t dictionary = 0;  ///< with what it is made of
    uint64_t touched = 0;     ///< the same without what nothing refers to
    uint64_t window = 0;      ///< for what is decoded, as far as it goes
};

/// Quick, and takes next to no memory itself. EUCLEAN if the point can't have such a state: no more
/// stands before it in its frame than a window, and than there are plain bytes.
ZstdNeeds needs_of_zstd_state(const SeekPoint& point);

/// The part of the dictionary before the plain bytes.
Bytes zstd_dictionary_start(const ZstdPlace& place);

}  // namespace imgfs
