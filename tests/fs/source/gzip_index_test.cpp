#include "fs/source/gzip_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <random>

#include "fs/base/checksum.h"
#include "fs/base/error.h"
#include "fs/base/fd.h"
#include "tests/support/memory_source.h"
#include "tests/support/shell.h"
#include "tests/support/temp_dir.h"

namespace imgfs {
namespace {

Bytes packed_by(const std::string& command, const Bytes& plain) {
    const TempDir dir;
    write_file(dir / "plain", plain);
    run("cd " + dir.path().string() + " && <plain " + command + " >packed");
    return read_file(dir / "packed", kGiB);
}

/// Letters, so that deflate makes coded blocks; the same again after each MiB, out of its sight.
Bytes letters(size_t size, uint64_t seed) {
    auto once = noise(kMiB, seed);
    for (auto& byte : once) {
        byte = static_cast<std::byte>('a' + std::to_integer<int>(byte) % 9);
    }
    Bytes content;
    while (content.size() < size) {
        content.insert(content.end(), once.begin(), once.end());
    }
    content.resize(size);
    return content;
}

/// From every point to the next one, by both decoders.
void expect_all_points_lead_to(const Bytes& plain, const Bytes& packed, const GzipIndex& index) {
    ASSERT_EQ(index.plain_size, plain.size());
    const MemorySource source(packed);
    for (size_t i = 0; i < index.points.size(); ++i) {
        const auto begin = index.points[i].plain;
        const auto end = i + 1 < index.points.size() ? index.points[i + 1].plain : plain.size();
        for (const auto engine : {InflateEngine::zlib, InflateEngine::fastest}) {
            Bytes out(end - begin);
            decode_from(source, index.points[i], begin, out, engine);
            EXPECT_TRUE(std::ranges::equal(out, ConstByteSpan(plain).subspan(begin, out.size())))
                << "point " << i;
        }
    }
}

TEST(GzipIndexTest, BothEnginesFindPointsThatBothDecodeFrom) {
    const auto plain = letters(12 * kMiB + 4321, 1);
    for (const auto* command :
         {"pigz --fast -b 1024 --rsyncable", "gzip --fast --rsyncable", "gzip -6", "pigz -0"}) {
        SCOPED_TRACE(command);
        const auto packed = packed_by(command, plain);
        const MemorySource source(packed);
        const auto slow = build_gzip_index(source, {.engine = InflateEngine::zlib});
        const auto fast = build_gzip_index(source, {});
        EXPECT_EQ(slow.hashes, fast.hashes);
        EXPECT_GE(fast.points.size(), 3u);
        EXPECT_GE(slow.points.size(), 3u);
        expect_all_points_lead_to(plain, packed, slow);
        expect_all_points_lead_to(plain, packed, fast);
    }
}

// Marked streams among unmarked ones: the pass goes back across members when the markers end.
TEST(GzipIndexTest, MembersWithAndWithoutMarkersAreOneStream) {
    Bytes plain;
    Bytes packed;
    for (int i = 0; i < 4; ++i) {
        const auto piece = letters(5 * kMiB + static_cast<size_t>(i) * 997, 10 + i);
        const auto member = packed_by(i % 2 == 0 ? "pigz -1 -b 128" : "gzip -5", piece);
        plain.insert(plain.end(), piece.begin(), piece.end());
        packed.insert(packed.end(), member.begin(), member.end());
    }
    const MemorySource source(packed);
    expect_all_points_lead_to(plain, packed, build_gzip_index(source, {}));
}

// The marker's four bytes inside stored data are no block start.
TEST(GzipIndexTest, BytesThatLookLikeMarkersAreNotTaken) {
    Bytes plain(9 * kMiB);
    for (size_t i = 0; i < plain.size(); ++i) {
        plain[i] = i % 4 < 2 ? std::byte{} : std::byte{0xff};
    }
    auto random = noise(9 * kMiB, 3);
    for (size_t i = 0; i < plain.size(); i += 512) {  // not compressible: stored
        std::copy_n(random.begin() + static_cast<ptrdiff_t>(i), 480,
                    plain.begin() + static_cast<ptrdiff_t>(i));
    }
    for (const auto* command : {"pigz -0", "pigz -1 --rsyncable"}) {
        SCOPED_TRACE(command);
        const auto packed = packed_by(command, plain);
        expect_all_points_lead_to(plain, packed, build_gzip_index(MemorySource(packed), {}));
    }
}

TEST(GzipIndexTest, BothEnginesSayTheSameOfDamage) {
    const auto packed = packed_by("pigz -1 -b 128", letters(200'000, 4));
    std::mt19937_64 random(5);
    for (int i = 0; i < 400; ++i) {
        auto bad = packed;
        bad[20 + random() % (bad.size() - 20)] ^= static_cast<std::byte>(1U << random() % 8);
        const MemorySource source(bad);
        for (const auto engine : {InflateEngine::zlib, InflateEngine::fastest}) {
            try {
                build_gzip_index(source, {.engine = engine});
                FAIL() << "the damage was not noticed";
            } catch (const std::system_error& error) {
                ASSERT_EQ(errno_of(error), EUCLEAN);
                ASSERT_NE(message_of(error).find("memory: byte "), std::string::npos);
            }
        }
    }
}

// A point can come from a forged index: whatever it says, decoding ends, in bytes or an error.
TEST(GzipIndexTest, AForgedPointGivesBytesOrAnError) {
    const auto plain = letters(300'000, 6);
    const auto packed = packed_by("gzip -1", plain);
    const MemorySource source(packed);
    std::mt19937_64 random(7);
    int errors = 0;
    for (int i = 0; i < 2000; ++i) {
        const GzipSeekPoint point{random() % 1000, random() % (packed.size() * 8),
                                  i % 2 == 0 ? Bytes() : noise(random() % 300, random())};
        Bytes out(1 + random() % 100'000);
        const auto engine = i % 4 < 2 ? InflateEngine::zlib : InflateEngine::fastest;
        try {
            decode_from(source, point, point.plain + random() % 5000, out, engine);
        } catch (const std::system_error& error) {
            ASSERT_EQ(errno_of(error), EUCLEAN);
            ++errors;
        }
    }
    EXPECT_GT(errors, 1000);
}

TEST(GzipIndexTest, TheCrcIsZlibs) {
    const auto bytes = noise(10'001, 8);
    EXPECT_EQ(gzip_crc(ConstByteSpan(bytes).subspan(3), gzip_crc(ConstByteSpan(bytes).first(3), 0)),
              crc32(bytes));
}

}  // namespace
}  // namespace imgfs
