#include <map>
#include <string>

#include "tests/fuzz/stream_input.h"
#include "tests/support/memory_source.h"
#include "tests/support/packed.h"

namespace imgfs {
namespace {

const std::map<std::string_view, std::vector<std::string>>& commands() {
    static const std::map<std::string_view, std::vector<std::string>> all = {
        {"gzip", {"gzip -1", "gzip -9", "pigz -p2 -b 128", "pigz -0", "bgzip -c"}},
        {"zstd",
         {"zstd -1", "zstd -3 --no-check", "zstd -19", "zstd -T2 -3 -B512K", "zstd --fast=5"}},
        {"xz",
         {"xz -0", "xz -0 --check=none", "xz -0 --block-size=4KiB", "xz -0 -T2 --check=crc32"}},
        {"lzip", {"lzip.lzip -0", "plzip -0 -s 4KiB -B 8KiB"}},
        {"lzma", {"lzma -0", "lzma -9"}},
        {"bzip2", {"bzip2 -1", "bzip2 -9", "lbzip2 -1", "pbzip2 -1 -c"}},
        {"lz4",
         {"lz4 -1 -B4", "lz4 -9 -BD -B4", "lz4 -1 -B4 -BX --no-frame-crc", "lz4 --content-size",
          "lz4 -l"}},
        {"lzop", {"lzop -1", "lzop -F", "lzop -9 --crc32"}}};
    return all;
}

/// Again and again, with something else between.
Bytes repeated(size_t size) {
    Bytes plain;
    for (uint64_t i = 0; plain.size() < size; ++i) {
        plain = joined(joined(std::move(plain), noise(50, 1)), noise(2, i));
    }
    return plain;
}

Bytes few_letters(size_t size) {
    auto plain = noise(size, 5);
    for (auto& byte : plain) {
        byte = std::byte{'a'} | (byte & std::byte{6});
    }
    return plain;
}

}  // namespace

std::vector<Bytes> stream_seeds(std::string_view codec) {
    const size_t much = codec == "zstd" ? 4'700'000 : 2'200'000;  // for a second point
    const std::vector<Bytes> plains = {few_letters(1500),
                                       noise(200, 3),
                                       repeated(30'000),
                                       joined(Bytes(much), few_letters(50)),
                                       {}};
    std::vector<Bytes> seeds;
    for (const auto& command : commands().at(codec)) {
        const auto first = seeds.size();
        for (const auto& plain : plains) {
            auto packed = packed_by(command, plain);
            if (packed.size() <= 8 * kKiB && !packed.empty()) {
                seeds.push_back(std::move(packed));
            }
        }
        if (codec != "lzma") {  // whose streams can't follow each other
            seeds.push_back(joined(seeds[first], seeds[first + 1]));
        }
    }
    return seeds;
}

}  // namespace imgfs
