#include "fs/base/checksum.h"

#define XXH_STATIC_LINKING_ONLY  // the size of a state
#include <xxhash.h>
#include <zlib.h>

#include <algorithm>
#include <new>

namespace imgfs {
namespace {

Hash128 stored(XXH128_hash_t hash) {
    Hash128 bytes;
    store(bytes, 0, hash.low64);
    store(bytes, 8, hash.high64);
    return bytes;
}

/// XXH64's state as the library lays it out; its names there differ between versions.
struct Xxh64Layout {
    uint64_t total;
    std::array<uint64_t, 4> lanes;
    std::array<std::byte, 32> stripe;
    uint32_t in_stripe;
    uint32_t reserved32;
    uint64_t reserved64;
};
static_assert(sizeof(Xxh64Layout) == sizeof(XXH64_state_t));

}  // namespace

uint32_t crc32(ConstByteSpan bytes, uint32_t previous) {
    return static_cast<uint32_t>(
        ::crc32_z(previous, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

uint32_t adler32(ConstByteSpan bytes) {
    return static_cast<uint32_t>(
        ::adler32_z(1, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
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
Xxh64::Xxh64(Xxh64&& other) noexcept = default;
Xxh64& Xxh64::operator=(Xxh64&& other) noexcept = default;
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

Xxh64::State Xxh64::save() const {
    Xxh64Layout layout;
    std::memcpy(&layout, state_.get(), sizeof layout);
    State saved{};
    store(saved, 0, layout.total);
    store(saved, 8, layout.lanes);
    std::copy_n(layout.stripe.begin(), layout.total % layout.stripe.size(), saved.begin() + 40);
    return saved;
}

void Xxh64::restore(const State& state) {
    Xxh64Layout layout{};
    layout.total = load<uint64_t>(state, 0);
    layout.lanes = load<std::array<uint64_t, 4>>(state, 8);
    std::copy_n(state.begin() + 40, layout.stripe.size(), layout.stripe.begin());
    layout.in_stripe = static_cast<uint32_t>(layout.total % layout.stripe.size());
    std::memcpy(state_.get(), &layout, sizeof layout);
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
