// Bytes in memory and little-endian integers on disk.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace imgfs {

using Bytes = std::vector<std::byte>;
using ByteSpan = std::span<std::byte>;
using ConstByteSpan = std::span<const std::byte>;

static_assert(std::endian::native == std::endian::little, "disk integers are copied as they are");

/// The integer at `offset`; the caller has checked that it lies inside.
template <typename Integer>
Integer load(ConstByteSpan bytes, size_t offset) {
    Integer value;
    std::memcpy(&value, bytes.subspan(offset, sizeof value).data(), sizeof value);
    return value;
}

template <typename Integer>
void store(ByteSpan bytes, size_t offset, Integer value) {
    std::memcpy(bytes.subspan(offset, sizeof value).data(), &value, sizeof value);
}

inline uint16_t le16(ConstByteSpan bytes, size_t offset) {
    return load<uint16_t>(bytes, offset);
}
inline uint32_t le32(ConstByteSpan bytes, size_t offset) {
    return load<uint32_t>(bytes, offset);
}
inline uint64_t le64(ConstByteSpan bytes, size_t offset) {
    return load<uint64_t>(bytes, offset);
}

inline ConstByteSpan bytes_of(std::string_view text) {
    return std::as_bytes(std::span(text.data(), text.size()));
}

inline std::string_view text_of(ConstByteSpan bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

constexpr uint64_t round_up(uint64_t value, uint64_t unit) {
    return (value + unit - 1) / unit * unit;
}
constexpr uint64_t round_down(uint64_t value, uint64_t unit) {
    return value / unit * unit;
}

constexpr uint64_t kKiB = 1024;
constexpr uint64_t kMiB = 1024 * kKiB;
constexpr uint64_t kGiB = 1024 * kMiB;

}  // namespace imgfs
