#include "fs/transfer/read_ahead.h"

#include <algorithm>
#include <future>
#include <utility>

namespace imgfs {

void for_each_piece(const Source& source, size_t piece_size, const Progress& progress,
                    const std::function<void(uint64_t offset, ConstByteSpan piece)>& use) {
    const auto read = [&source, piece_size](uint64_t offset, Bytes buffer) {
        buffer.resize(std::min<uint64_t>(piece_size, source.size() - offset));
        source.read(offset, buffer);
        return buffer;
    };
    Bytes current;
    Bytes spare;
    // A future of std::async waits for its thread when it goes, also when use() throws.
    auto next = std::async(std::launch::async, read, uint64_t{0}, std::move(spare));
    for (uint64_t offset = 0; offset < source.size();) {
        spare = std::exchange(current, next.get());
        const auto end = offset + current.size();
        if (end < source.size()) {
            next = std::async(std::launch::async, read, end, std::move(spare));
        }
        use(offset, current);
        if (progress) {
            progress(end, source.size());
        }
        offset = end;
    }
}

}  // namespace imgfs
