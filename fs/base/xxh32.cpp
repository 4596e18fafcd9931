#include "fs/base/xxh32.h"

#include <xxhash.h>

#include <algorithm>

namespace imgfs {
namespace {

constexpr uint32_t kPrime1 = 0x9e3779b1;
constexpr uint32_t kPrime2 = 0x85ebca77;
constexpr uint32_t kPrime3 = 0xc2b2ae3d;
constexpr uint32_t kPrime4 = 0x27d4eb2f;
constexpr uint32_t kPrime5 = 0x165667b1;
constexpr size_t kStripe = 16;

}  // namespace

Xxh32::Xxh32() : lanes_{kPrime1 + kPrime2, kPrime2, 0, 0 - kPrime1} {}

Xxh32::Xxh32(ConstByteSpan state) {
    for (size_t i = 0; i < lanes_.size(); ++i) {
        lanes_[i] = le32(state, i * 4);
    }
    count_ = le64(state, 16);
    std::ranges::copy(state.subspan(24, kStripe), tail_.begin());
}

Bytes Xxh32::state() const {
    Bytes state(kStateSize);
    for (size_t i = 0; i < lanes_.size(); ++i) {
        store(state, i * 4, lanes_[i]);
    }
    store(state, 16, count_);
    std::ranges::copy(std::span(tail_).first(count_ % kStripe), state.begin() + 24);
    return state;
}

void Xxh32::add_stripe(ConstByteSpan stripe) {
    for (size_t i = 0; i < lanes_.size(); ++i) {
        lanes_[i] = std::rotl(lanes_[i] + le32(stripe, i * 4) * kPrime2, 13) * kPrime1;
    }
}

void Xxh32::update(ConstByteSpan bytes) {
    const auto filled = static_cast<size_t>(count_ % kStripe);
    count_ += bytes.size();
    if (filled + bytes.size() < kStripe) {
        std::ranges::copy(bytes, tail_.begin() + std::ptrdiff_t(filled));
        return;
    }
    if (filled != 0) {
        const auto missing = kStripe - filled;
        std::ranges::copy(bytes.first(missing), tail_.begin() + std::ptrdiff_t(filled));
        add_stripe(tail_);
        bytes = bytes.subspan(missing);
    }
    for (; bytes.size() >= kStripe; bytes = bytes.subspan(kStripe)) {
        add_stripe(bytes);
    }
    std::ranges::copy(bytes, tail_.begin());
}

uint32_t Xxh32::digest() const {
    uint32_t hash = kPrime5;
    if (count_ >= kStripe) {
        hash = std::rotl(lanes_[0], 1) + std::rotl(lanes_[1], 7) + std::rotl(lanes_[2], 12) +
               std::rotl(lanes_[3], 18);
    }
    hash += static_cast<uint32_t>(count_);
    auto tail = ConstByteSpan(tail_).first(count_ % kStripe);
    for (; tail.size() >= 4; tail = tail.subspan(4)) {
        hash = std::rotl(hash + le32(tail, 0) * kPrime3, 17) * kPrime4;
    }
    for (const auto byte : tail) {
        hash = std::rotl(hash + std::to_integer<uint32_t>(byte) * kPrime5, 11) * kPrime1;
    }
    hash = (hash ^ hash >> 15) * kPrime2;
    hash = (hash ^ hash >> 13) * kPrime3;
    return hash ^ hash >> 16;
}

uint32_t xxh32(ConstByteSpan bytes) {
    return XXH32(bytes.data(), bytes.size(), 0);
}

}  // namespace imgfs
