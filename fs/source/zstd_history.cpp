#include "fs/source/zstd_history.h"

#include <algorithm>

namespace imgfs {
namespace {

/// The bits [from, to) of a word.
uint64_t bits_between(size_t from, size_t to) {
    const auto above = to == 64 ? ~uint64_t{0} : (uint64_t{1} << to) - 1;
    return above & ~((uint64_t{1} << from) - 1);
}

/// The first bit at or behind `at` that is `wanted`; or the end.
size_t find_bit(std::span<const uint64_t> words, size_t at, bool wanted) {
    while (at < words.size() * 64) {
        const auto word = (wanted ? words[at / 64] : ~words[at / 64]) >> (at % 64);
        if (word != 0) {
            return at + static_cast<size_t>(std::countr_zero(word));
        }
        at = round_up(at + 1, 64);
    }
    return words.size() * 64;
}

}  // namespace

PlainHistory::PlainHistory(uint64_t window, uint64_t start)
    : chunks_(window / kChunk + 2), end_(start) {}

void PlainHistory::keep(ConstByteSpan plain) {
    while (!plain.empty()) {
        auto& chunk = chunks_[end_ / kChunk % chunks_.size()];
        if (!chunk) {
            chunk = std::make_unique<Chunk>();
        }
        const auto at = end_ % kChunk;
        const auto count = std::min<size_t>(plain.size(), kChunk - at);
        std::copy_n(plain.begin(), count, chunk->begin() + static_cast<ptrdiff_t>(at));
        plain = plain.subspan(count);
        end_ += count;
    }
}

void PlainHistory::copy(uint64_t from, ByteSpan out) const {
    while (!out.empty()) {
        const auto& chunk = *chunks_[from / kChunk % chunks_.size()];
        const auto at = from % kChunk;
        const auto count = std::min<size_t>(out.size(), kChunk - at);
        std::copy_n(chunk.begin() + static_cast<ptrdiff_t>(at), count, out.begin());
        out = out.subspan(count);
        from += count;
    }
}

SparseHistory::SparseHistory(uint64_t end, uint64_t window)
    : end_(end),
      first_page_((end - std::min(end, window)) / kPage),
      pages_(end / kPage - first_page_ + 1),
      lowest_(end) {}

void SparseHistory::mark(uint64_t from, uint64_t size, const PlainHistory& history) {
    const auto to = std::min(from + size, end_);
    lowest_ = std::min(lowest_, from);
    while (from < to) {
        auto& page = pages_[from / kPage - first_page_];
        if (!page) {
            page = std::make_unique<Page>();
        }
        const auto count = std::min<uint64_t>(to - from, kPage - from % kPage);
        mark_in(*page, from, count, history);
        from += count;
    }
}

void SparseHistory::mark_in(Page& page, uint64_t from, size_t size, const PlainHistory& history) {
    const size_t begin = from % kPage;
    const auto end = begin + size;
    uint64_t fresh = 0;
    for (auto at = begin; at < end; at = round_up(at + 1, 64)) {
        auto& word = page.marks[at / 64];
        const auto bits = bits_between(at % 64, std::min<size_t>(end - round_down(at, 64), 64));
        fresh += static_cast<uint64_t>(std::popcount(bits & ~word));
        word |= bits;
    }
    if (fresh != 0) {
        marked_ += fresh;
        history.copy(from, ByteSpan(page.bytes).subspan(begin, size));
    }
}

std::vector<SparseHistory::Run> SparseHistory::runs() const {
    std::vector<Run> runs;
    for (size_t number = 0; number < pages_.size(); ++number) {
        if (!pages_[number]) {
            continue;
        }
        const auto& page = *pages_[number];
        auto at = find_bit(page.marks, 0, true);
        while (at < kPage) {
            const auto end = find_bit(page.marks, at, false);
            runs.push_back({(first_page_ + number) * kPage + at,
                            ConstByteSpan(page.bytes).subspan(at, end - at)});
            at = find_bit(page.marks, end, true);
        }
    }
    return runs;
}

}  // namespace imgfs
