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

/// Opens `folder` over `image`, whose identity is its hash.
inline OpenDelta open_delta(const std::filesystem::path& folder, const Bytes& image,
                            DeltaAccess access = DeltaAccess::read_write,
                            FileWatcher* watcher = nullptr) {
    OpenDelta opened;
    opened.store = std::make_unique<DeltaStore>(DeltaOptions{.folder = folder,
                                                             .device_size = image.size(),
                                                             .identity = xxh3_128(image),
                                                             .access = access,
                                                             .use = "a test",
                                                             .watcher = watcher});
    opened.device =
        std::make_unique<CowDevice>(std::make_unique<MemorySource>(image), *opened.store);
    return opened;
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
