// What can be read of a stream that is damaged: at least what the codec's own program unpacks.
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <random>

#include "fs/source/decode.h"
#include "tests/support/faulty_source.h"
#include "tests/support/memory_source.h"
#include "tests/support/packed.h"
#include "tests/support/thrown.h"

namespace imgfs {
namespace {

constexpr uint64_t kStep = 32 * kKiB;

struct Packer {
    std::string pack;
    std::string unpack;
    uint64_t block;  ///< what it packs and proves as one
};

class RescueTest : public testing::TestWithParam<Packer> {
  protected:
    /// What the program gives out before it comes upon the damage.
    static Bytes unpacked(const Bytes& packed) {
        return packed_by("sh -c '" + GetParam().unpack + " 2>/dev/null || true'", packed);
    }

    /// Of those bytes none is read wrong, and none is lost but in the block and in the piece of the
    /// index where the damage is.
    static void expect_rescued(std::unique_ptr<Source> packed, const Bytes& expected,
                               const std::string& what) {
        const auto opened = decode(std::move(packed), {.on_damage = [](const std::string&) {}});
        uint64_t lost = 0;
        for (uint64_t at = 0; at + kStep <= expected.size(); at += kStep) {
            Bytes out(kStep);
            const auto error = error_of([&] { opened.plain->read(at, out); });
            ASSERT_TRUE(error == 0 || error == EUCLEAN) << what << " at " << at;
            lost += error == 0 ? 0 : kStep;
            ASSERT_TRUE(error != 0 ||
                        std::ranges::equal(out, ConstByteSpan(expected).subspan(at, kStep)))
                << what << " at " << at;
        }
        EXPECT_LE(lost, GetParam().block + 2 * kHashedPiece + kStep)
            << what << " of " << expected.size();
    }

    static void expect_rescued(const Bytes& packed, const std::string& what) {
        expect_rescued(std::make_unique<MemorySource>(packed), unpacked(packed), what);
    }

    const Bytes plain_ = mixed(kMiB + 12'345, 5);
    const Bytes packed_ = packed_by(GetParam().pack, plain_);
    std::mt19937_64 random_{4};
};

TEST_P(RescueTest, BeforeACutAllCanBeRead) {
    for (int i = 0; i < 2; ++i) {
        const auto size = packed_.size() / 4 + random_() % (packed_.size() * 3 / 4);
        expect_rescued({packed_.begin(), packed_.begin() + static_cast<ptrdiff_t>(size)},
                       "cut to " + std::to_string(size));
    }
}

TEST_P(RescueTest, BeforeGarbageAllCanBeRead) {
    const auto packed = joined(packed_, noise(5'000, 6));
    expect_rescued(std::make_unique<MemorySource>(packed), plain_, "garbage");
}

TEST_P(RescueTest, BeforeAFlipAllCanBeRead) {
    for (int i = 0; i < 2; ++i) {
        auto packed = packed_;
        const auto at = packed.size() / 4 + random_() % (packed.size() * 3 / 4);
        packed[at] ^= std::byte{16};
        expect_rescued(packed, "flip at " + std::to_string(at));
    }
}

TEST_P(RescueTest, BeforeAMissingPartAllCanBeRead) {
    const auto start = packed_.size() / 2;
    const Bytes before(packed_.begin(), packed_.begin() + static_cast<ptrdiff_t>(start));
    expect_rescued(
        std::make_unique<FaultySource>(packed_, Fault{start, packed_.size() / 10, EUCLEAN}),
        unpacked(before), "a part");
}

INSTANTIATE_TEST_SUITE_P(
    Codecs, RescueTest,
    testing::Values(Packer{"gzip -1", "gzip -dc", 0}, Packer{"pigz -1 -b 128", "gzip -dc", 0},
                    Packer{"zstd -3", "zstd -dc", 128 * kKiB},
                    Packer{"zstd -3 --no-check", "zstd -dc", 128 * kKiB},
                    Packer{"xz -0", "xz -dc -T1", 2 * kMiB},
                    Packer{"xz -0 --block-size=256KiB", "xz -dc -T1", 256 * kKiB},
                    Packer{"xz -0 --format=lzma", "xz --format=lzma -dc", 0},
                    Packer{"lzip -0 -b 100KiB", "lzip -dc", 100 * kKiB},
                    Packer{"bzip2 -1", "bzip2 -dc", 100'000},
                    Packer{"lz4 -B4", "lz4 -dc", 64 * kKiB},
                    Packer{"lz4 -B4 -BD -BX", "lz4 -dc", 64 * kKiB},
                    Packer{"lzop -1", "lzop -dc", 256 * kKiB}),
    [](const auto& row) {
        auto name = std::to_string(row.index) + row.param.pack;
        std::erase_if(name, [](char letter) { return std::isalnum(letter) == 0; });
        return name;
    });

}  // namespace
}  // namespace imgfs
