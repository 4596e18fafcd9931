// Checksums and hashes of the image, index and delta formats.
#pragma once

#include <array>
#include <memory>
#include <string>

#include "fs/base/bytes.h"

struct XXH3_state_s;
struct XXH64_state_s;

namespace imgfs {

/// zlib's CRC-32 (reflected 0xEDB88320, inverted at both ends); `previous` continues an earlier
/// one.
uint32_t crc32(ConstByteSpan bytes, uint32_t previous = 0);

uint32_t adler32(ConstByteSpan bytes);  // zlib's, begun with 1

uint64_t xxh64(ConstByteSpan bytes);    // seed 0
uint64_t xxh3_64(ConstByteSpan bytes);  // seed 0

/// XXH3-128 as {low, high} in native order, as partclone stores it.
using Hash128 = std::array<std::byte, 16>;
Hash128 xxh3_128(ConstByteSpan bytes);

std::string hex(ConstByteSpan bytes);

/// A running XXH64; digest() doesn't end it.
class Xxh64 {
  public:
    Xxh64();
    Xxh64(Xxh64&& other) noexcept;
    Xxh64& operator=(Xxh64&& other) noexcept;
    ~Xxh64();
    void reset();
    void update(ConstByteSpan bytes);
    uint64_t digest() const;

    /// All that it has seen, for a file: bytes hashed (8), four lanes (32), what doesn't fill a
    /// stripe yet, padded with zeros (32). Any such bytes can be restored.
    static constexpr size_t kStateSize = 72;
    using State = std::array<std::byte, kStateSize>;
    State save() const;
    void restore(const State& state);

  private:
    struct Free {
        void operator()(XXH64_state_s* state) const;
    };
    std::unique_ptr<XXH64_state_s, Free> state_;
};

/// A running XXH3-128; digest() doesn't end it.
class Xxh128 {
  public:
    Xxh128();
    ~Xxh128();
    void reset();
    void update(ConstByteSpan bytes);
    Hash128 digest() const;

  private:
    struct Free {
        void operator()(XXH3_state_s* state) const;
    };
    std::unique_ptr<XXH3_state_s, Free> state_;
};

}  // namespace imgfs
