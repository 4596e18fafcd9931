#include "tests/support/packed.h"

#include <algorithm>
#include <random>

#include "fs/base/fd.h"
#include "tests/support/memory_source.h"
#include "tests/support/shell.h"
#include "tests/support/temp_dir.h"

namespace imgfs {

Bytes mixed(size_t size, uint64_t seed) {
    Bytes content;
    std::mt19937_64 random(seed);
    while (content.size() < size) {
        const auto kind = random() % 3;
        const auto length = 1000 + random() % 200'000;
        auto piece = kind == 0 ? noise(length, random()) : Bytes(length);
        if (kind == 1) {
            std::ranges::generate(piece,
                                  [&] { return static_cast<std::byte>('a' + random() % 4); });
        }
        content.insert(content.end(), piece.begin(), piece.end());
    }
    content.resize(size);
    return content;
}

Bytes packed_by(const std::string& command, ConstByteSpan plain) {
    const TempDir dir;
    write_file(dir / "plain", plain);
    run("cd " + dir.path().string() + " && <plain " + command + " >packed");
    return read_file(dir / "packed", kGiB);
}

Bytes joined(Bytes first, ConstByteSpan second) {
    first.insert(first.end(), second.begin(), second.end());
    return first;
}

}  // namespace imgfs
