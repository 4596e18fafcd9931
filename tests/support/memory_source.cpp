#include "tests/support/memory_source.h"

#include <algorithm>
#include <random>

namespace imgfs {

void MemorySource::read_inside(uint64_t offset, ByteSpan out) const {
    std::ranges::copy(ConstByteSpan(content_).subspan(offset, out.size()), out.begin());
}

Bytes to_bytes(std::string_view text) {
    const auto bytes = bytes_of(text);
    return {bytes.begin(), bytes.end()};
}

Bytes noise(size_t count, uint64_t seed) {
    std::mt19937_64 random(seed);
    Bytes bytes(count);
    std::ranges::generate(bytes, [&] { return static_cast<std::byte>(random()); });
    return bytes;
}

Bytes read_all(const Source& source) {
    Bytes content(source.size());
    source.read(0, content);
    return content;
}

}  // namespace imgfs
