// The fuzz targets without libFuzzer, over a corpus.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <random>

#include "fs/base/fd.h"
#include "fs/source/codec.h"
#include "tests/fuzz/stream_input.h"
#include "tests/fuzz/targets.h"
#include "tests/support/codec_contract.h"
#include "tests/support/memory_source.h"

namespace imgfs {
namespace {

/// Inputs that something was found with, each a regression test.
std::vector<Bytes> findings(const FuzzTarget& target) {
    std::vector<Bytes> inputs;
    const auto folder = std::filesystem::path(TEST_DATA) / "fuzz" / target.name;
    if (std::filesystem::exists(folder)) {
        for (const auto& entry : std::filesystem::directory_iterator(folder)) {
            inputs.push_back(read_file(entry.path(), kMiB));
        }
    }
    return inputs;
}

Bytes mutated(Bytes input, std::mt19937_64& random) {
    for (auto changes = 1 + random() % 4; changes > 0 && !input.empty(); --changes) {
        const auto at = input.begin() + static_cast<ptrdiff_t>(random() % input.size());
        const auto rest = static_cast<size_t>(input.end() - at);
        const auto end = at + static_cast<ptrdiff_t>(std::min<size_t>(1 + random() % 16, rest));
        switch (random() % 5) {
            case 0:
                *at ^= static_cast<std::byte>(1U << random() % 8);
                break;
            case 1:
                *at = static_cast<std::byte>(random() % 2 == 0 ? 0xFF : random());
                break;
            case 2:
                input.erase(at, end);
                break;
            case 3: {
                const Bytes again(at, end);
                input.insert(at, again.begin(), again.end());
                break;
            }
            default:
                std::fill(at, end, static_cast<std::byte>(random()));
        }
    }
    return input;
}

TEST(StreamSeedsTest, AreOfTheirCodecAndSound) {
    for (const auto& target : fuzz_targets()) {
        for (const auto& seed :
             target.run == run_stream ? target.seeds(target.name) : std::vector<Bytes>()) {
            const MemorySource source(seed);
            const auto* const codec = find_codec(source);
            ASSERT_NE(codec, nullptr) << target.name;
            EXPECT_EQ(codec->name, target.name);
            const auto outcome = try_pass(*codec, source);
            EXPECT_EQ(outcome.line, "");
            EXPECT_EQ(outcome.record.mismatches, std::vector<std::string>());
        }
    }
}

class FuzzTest : public testing::TestWithParam<FuzzTarget> {
  protected:
    void run(ConstByteSpan input) const { GetParam().run(GetParam().name, input); }
};

TEST_P(FuzzTest, SeedsKeepTheContract) {
    const auto seeds = GetParam().seeds(GetParam().name);
    EXPECT_FALSE(seeds.empty());
    for (const auto& seed : seeds) {
        run(seed);
    }
}

TEST_P(FuzzTest, WhatWasFoundOnceIsMended) {
    for (const auto& input : findings(GetParam())) {
        run(input);
    }
}

TEST_P(FuzzTest, ChangedSeedsKeepTheContract) {
    const auto seeds = GetParam().seeds(GetParam().name);
    std::mt19937_64 random(31);
    for (int i = 0; i < 60 && !HasFailure(); ++i) {
        run(mutated(seeds[random() % seeds.size()], random));
    }
}

INSTANTIATE_TEST_SUITE_P(Targets, FuzzTest, testing::ValuesIn(fuzz_targets()),
                         [](const auto& target) { return std::string(target.param.name); });

}  // namespace
}  // namespace imgfs
