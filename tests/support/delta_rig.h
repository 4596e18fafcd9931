// A delta over an image in memory, and what it must show at each of its commits.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <vector>

#include "fs/base/error.h"
#include "fs/store/cow_device.h"
#include "tests/support/memory_source.h"
#include "tests/support/thrown.h"

namespace imgfs {

struct OpenDelta {
    std::unique_ptr<DeltaStore> store;
    std::unique_ptr<CowDevice> device;
};

/// Opens a delta over `image`, whose identity is its hash.
inline OpenDelta open_delta(DeltaOptions options, const Bytes& image) {
    options.device_size = image.size();
    options.identity = xxh3_128(image);
    options.use = "a test";
    OpenDelta opened;
    opened.store = std::make_unique<DeltaStore>(std::move(options));
    opened.device =
        std::make_unique<CowDevice>(std::make_unique<MemorySource>(image), *opened.store);
    return opened;
}

inline OpenDelta open_delta(const std::filesystem::path& folder, const Bytes& image,
                            DeltaAccess access = DeltaAccess::read_write,
                            FileWatcher* watcher = nullptr) {
    return open_delta({.folder = folder, .access = access, .watcher = watcher}, image);
}

/// Makes the same random change to a device and to its model.
inline void change_at_random(CowDevice& device, Bytes& model, uint64_t most_blocks,
                             std::mt19937_64& random) {
    const auto offset = random() % model.size();
    const auto most = std::min<uint64_t>(model.size() - offset, most_blocks * kBlockSize);
    const auto length = random() % 3 == 0 ? most : random() % most;
    const auto target = ByteSpan(model).subspan(offset, length);
    if (random() % 4 == 0) {
        device.discard(offset, length);
        std::ranges::fill(target, std::byte{});
    } else {
        const auto bytes = random() % 6 == 0 ? Bytes(length) : noise(length, random());
        device.write(offset, bytes);
        std::ranges::copy(bytes, target.begin());
    }
}

/// As ==, which compares std::byte one by one.
inline bool same(ConstByteSpan left, ConstByteSpan right) {
    return text_of(left) == text_of(right);
}

}  // namespace imgfs
