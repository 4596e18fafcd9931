#include "fs/source/unfilled_bytes.h"

#include <utility>

namespace imgfs {
namespace {

constexpr uint64_t kLargerSpare = 4;  // it may be larger by that part, which nobody accounts for

}  // namespace

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
