#include "fs/source/unfilled_bytes.h"

#include <sys/mman.h>

#include <new>
#include <utility>

namespace imgfs {
namespace {

constexpr uint64_t kHugePage = 2 * kMiB;
constexpr uint64_t kLargerSpare = 4;  // it may be larger by that part, which nobody accounts for

}  // namespace

UnfilledBytes::UnfilledBytes(uint64_t size) : size_(size) {
    const auto in_huge_pages = round_down(size, kHugePage);
    auto* const bytes = in_huge_pages == 0
                            ? std::malloc(size)
                            : std::aligned_alloc(kHugePage, round_up(size, kHugePage));
    if (bytes == nullptr && size > 0) {
        throw std::bad_alloc();
    }
    bytes_.reset(static_cast<std::byte*>(bytes));
    if (in_huge_pages > 0) {
        ::madvise(bytes, in_huge_pages, MADV_HUGEPAGE);
    }
}

UnfilledBytes SpareBytes::take(uint64_t size) {
    const std::lock_guard lock(mutex_);
    while (!spares_.empty()) {
        auto memory = std::move(spares_.back());
        spares_.pop_back();
        if (memory.size() >= size && memory.size() - size <= size / kLargerSpare) {
            return memory;
        }
    }
    return UnfilledBytes(size);
}

void SpareBytes::give_back(UnfilledBytes memory) {
    const std::lock_guard lock(mutex_);
    spares_.push_back(std::move(memory));
}

}  // namespace imgfs
