#include "fs/store/overlay.h"

#include <algorithm>
#include <cstring>

namespace imgfs {

BlockData block_of(ConstByteSpan bytes) {
    const bool zeros = bytes.empty() || (bytes[0] == std::byte{} &&
                                         std::memcmp(&bytes[0], &bytes[1], bytes.size() - 1) == 0);
    if (zeros) {
        return nullptr;
    }
    auto data = std::make_unique_for_overwrite<Block>();
    const auto rest = std::ranges::copy(bytes, data->begin()).out;
    std::fill(rest, data->end(), std::byte{});
    return data;
}

void Overlay::put(uint64_t block, BlockData data) {
    if (!data) {
        put_zeros(block, 1);
        return;
    }
    zeros_.carve(block, block + 1);
    blocks_[block] = std::move(data);
}

void Overlay::put_zeros(uint64_t first, uint64_t count) {
    blocks_.erase(blocks_.lower_bound(first), blocks_.lower_bound(first + count));
    zeros_.assign(first, count, {});
}

Block& Overlay::open(uint64_t block) {
    auto& data = blocks_[block];
    if (!data) {
        zeros_.carve(block, block + 1);
        data = std::make_unique<Block>();
    }
    return *data;
}

Overlay::Kind Overlay::kind(uint64_t block) const {
    auto kind = Kind::absent;
    visit(block, block + 1, [&](uint64_t, uint64_t, Kind found, const Block*) { kind = found; });
    return kind;
}

BlockData Overlay::copy(uint64_t block) const {
    const auto found = blocks_.find(block);
    return found != blocks_.end() ? std::make_unique<Block>(*found->second) : nullptr;
}

void Overlay::visit(uint64_t first, uint64_t end, const Visit& visit) const {
    zeros_.visit(first, end, [&](uint64_t run, uint64_t count, const Zeros* zeros) {
        if (zeros != nullptr) {
            visit(run, count, Kind::zeros, nullptr);
        } else {
            visit_blocks(run, run + count, visit);
        }
    });
}

void Overlay::visit_blocks(uint64_t first, uint64_t end, const Visit& visit) const {
    for (auto next = blocks_.lower_bound(first); next != blocks_.end() && next->first < end;
         ++next) {
        if (first < next->first) {
            visit(first, next->first - first, Kind::absent, nullptr);
        }
        visit(next->first, 1, Kind::data, next->second.get());
        first = next->first + 1;
    }
    if (first < end) {
        visit(first, end - first, Kind::absent, nullptr);
    }
}

void Overlay::clear() {
    blocks_.clear();
    zeros_.clear();
}

}  // namespace imgfs
