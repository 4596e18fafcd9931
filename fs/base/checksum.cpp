#include "fs/base/checksum.h"

#include <xxhash.h>
#include <zlib.h>

#include <new>

namespace imgfs {
namespace {

Hash128 stored(XXH128_hash_t hash) {
    Hash128 bytes;
    store(bytes, 0, hash.low64);
    store(bytes, 8, hash.high64);
    return bytes;
}

}  // namespace

uint32_t crc32(ConstByteSpan bytes, uint32_t previous) {
    return static_cast<uint32_t>(
        ::crc32_z(previous, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

uint64_t xxh64(ConstByteSpan bytes) {
    return XXH64(bytes.data(), bytes.size(), 0);
}

uint64_t xxh3_64(ConstByteSpan bytes) {
    return XXH3_64bits(bytes.data(), bytes.size());
}

Hash128 xxh3_128(ConstByteSpan bytes) {
    return stored(XXH3_128bits(bytes.data(), bytes.size()));
}

std::string hex(ConstByteSpan bytes) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string text;
    for (const auto byte : bytes) {
        text += kDigits[std::to_integer<size_t>(byte >> 4)];
        text += kDigits[std::to_integer<size_t>(byte & std::byte{15})];
    }
    return text;
}

void Xxh64::Free::operator()(XXH64_state_s* state) const {
    XXH64_freeState(state);
}

Xxh64::Xxh64() : state_(XXH64_createState()) {
    if (!state_) {
        throw std::bad_alloc();
    }
    reset();
}
Xxh64::~Xxh64() = default;
void Xxh64::reset() {
    XXH64_reset(state_.get(), 0);
}
void Xxh64::update(ConstByteSpan bytes) {
    XXH64_update(state_.get(), bytes.data(), bytes.size());
}
uint64_t Xxh64::digest() const {
    return XXH64_digest(state_.get());
}

void Xxh128::Free::operator()(XXH3_state_s* state) const {
    XXH3_freeState(state);
}

Xxh128::Xxh128() : state_(XXH3_createState()) {
    if (!state_) {
        throw std::bad_alloc();
    }
    reset();
}
Xxh128::~Xxh128() = default;
void Xxh128::reset() {
    XXH3_128bits_reset(state_.get());
}
void Xxh128::update(ConstByteSpan bytes) {
    XXH3_128bits_update(state_.get(), bytes.data(), bytes.size());
}
Hash128 Xxh128::digest() const {
    return stored(XXH3_128bits_digest(state_.get()));
}

}  // namespace imgfs
