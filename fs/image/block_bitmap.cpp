#include "fs/image/block_bitmap.h"

#include <algorithm>

namespace imgfs {
namespace {

constexpr size_t kWordsPerRank = 32;

uint64_t low_bits(uint64_t count) {
    return (uint64_t{1} << count) - 1;
}

uint64_t popcount(uint64_t word) {
    return static_cast<uint64_t>(std::popcount(word));
}

}  // namespace

BlockBitmap::BlockBitmap(std::vector<uint64_t> words, uint64_t block_count)
    : words_(std::move(words)), block_count_(block_count) {
    if (block_count % 64 != 0) {
        words_.back() &= low_bits(block_count % 64);
    }
    ranks_.reserve(words_.size() / kWordsPerRank + 2);
    uint64_t used = 0;
    for (size_t i = 0; i < words_.size(); ++i) {
        if (i % kWordsPerRank == 0) {
            ranks_.push_back(used);
        }
        used += popcount(words_[i]);
    }
    ranks_.push_back(used);
}

BlockBitmap BlockBitmap::full(uint64_t block_count) {
    return BlockBitmap(block_count);
}

uint64_t BlockBitmap::rank(uint64_t block) const {
    if (is_full()) {
        return block;
    }
    const size_t last = block / 64;
    const size_t group = last / kWordsPerRank;
    uint64_t used = ranks_[group];
    for (size_t i = group * kWordsPerRank; i < last; ++i) {
        used += popcount(words_[i]);
    }
    return block % 64 == 0 ? used : used + popcount(words_[last] & low_bits(block % 64));
}

uint64_t BlockBitmap::select(uint64_t rank) const {
    if (is_full()) {
        return rank;
    }
    const auto next = std::upper_bound(ranks_.begin(), ranks_.end() - 1, rank);
    const auto group = static_cast<size_t>(next - ranks_.begin()) - 1;
    uint64_t left = rank - ranks_[group];
    size_t i = group * kWordsPerRank;
    for (; popcount(words_[i]) <= left; ++i) {
        left -= popcount(words_[i]);
    }
    uint64_t word = words_[i];
    for (; left > 0; --left) {
        word &= word - 1;  // clears the lowest set bit
    }
    return i * 64 + static_cast<uint64_t>(std::countr_zero(word));
}

uint64_t BlockBitmap::run_end(uint64_t block, uint64_t end) const {
    if (is_full()) {
        return end;
    }
    const uint64_t flip = is_used(block) ? ~uint64_t{0} : 0;  // makes the end of the run a set bit
    uint64_t ends = (words_[block / 64] ^ flip) >> (block % 64) << (block % 64);
    uint64_t start = round_down(block, 64);
    while (ends == 0) {
        start += 64;
        if (start >= end) {
            return end;
        }
        ends = words_[start / 64] ^ flip;
    }
    return std::min(end, start + static_cast<uint64_t>(std::countr_zero(ends)));
}

ConstByteSpan BlockBitmap::bytes() const {
    return std::as_bytes(std::span(words_)).first(is_full() ? 0 : (block_count_ + 7) / 8);
}

}  // namespace imgfs
