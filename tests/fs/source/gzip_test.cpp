#include "fs/source/gzip.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <random>

#include "fs/base/checksum.h"
#include "fs/base/error.h"
#include "fs/source/gzip_decoder.h"
#include "fs/source/sparse_history.h"
#include "tests/support/codec_contract.h"
#include "tests/support/codec_damage.h"
#include "tests/support/memory_source.h"
#include "tests/support/packed.h"
#include "tests/support/thrown.h"

namespace imgfs {
namespace {

const Codec& gzip() {
    return codec_named("gzip");
}

TEST(GzipTest, EveryWriterKeepsTheContract) {
    const auto plain = mixed(9 * kMiB + 4321);
    for (const auto* command : {"pigz --fast -b 1024 --rsyncable", "gzip --fast --rsyncable",
                                "gzip -6", "pigz -0", "pigz -i -b 128", "gzip -9", "bgzip -c"}) {
        SCOPED_TRACE(command);
        expect_keeps_codec_contract(gzip(), packed_by(command, plain), plain);
    }
}

TEST(GzipTest, WithoutIsaLTheContractIsKeptToo) {
    const auto plain = mixed(9 * kMiB + 4321);
    for (const auto* command : {"pigz --fast -b 1024 --rsyncable", "gzip -6"}) {
        SCOPED_TRACE(command);
        expect_keeps_codec_contract(gzip(), packed_by(command, plain), plain, {.portable = true});
    }
}

TEST(GzipTest, PointsOfBothEnginesServeBothEngines) {
    const auto plain = mixed(9 * kMiB);
    const MemorySource packed(packed_by("pigz -1 -b 128", plain));
    for (const bool portable : {true, false}) {
        for (const auto& point : record_pass(gzip(), packed, {.portable = portable}).points) {
            for (const auto engine : {InflateEngine::zlib, InflateEngine::fastest}) {
                Bytes out(plain.size() - point.plain);
                GzipDecoder(packed, gzip_place(point), engine).read(out);
                EXPECT_TRUE(std::ranges::equal(out, ConstByteSpan(plain).subspan(point.plain)))
                    << "point at " << point.plain;
            }
        }
    }
}

// As tar pads a tape: nothing may follow zeros, wherever they end.
TEST(GzipTest, AMemberBehindZerosIsDamageWhereverTheyEnd) {
    const auto plain = noise(70'000, 9);
    const auto member = packed_by("gzip -1", plain);
    for (const size_t end : {member.size() + 10, size_t{128 * kKiB}, size_t{256 * kKiB}}) {
        auto packed = member;
        packed.resize(end);
        packed.insert(packed.end(), member.begin(), member.end());
        EXPECT_EQ(error_of([&] { record_pass(gzip(), MemorySource(packed)); }), EUCLEAN) << end;
    }
}

TEST(GzipTest, DenseMeansMorePoints) {
    const auto plain = mixed(13 * kMiB);
    const MemorySource packed(packed_by("pigz -1 -b 128", plain));
    EXPECT_GT(record_pass(gzip(), packed, {.dense = true}).points.size(),
              record_pass(gzip(), packed).points.size());
}

TEST(GzipTest, EmptyMembersAtTheStartGiveOnePoint) {
    const auto plain = mixed(100'000);
    const auto empty = packed_by("gzip", {});
    expect_keeps_codec_contract(gzip(), joined(joined(empty, empty), packed_by("gzip", plain)),
                                plain);
}

TEST(GzipTest, AHistoryKeepsOnlyWhatIsReferredTo) {
    // Letters, so that deflate copies; all that stands before a point is its history.
    const auto plain = mixed(9 * kMiB);
    const auto packed = packed_by("pigz -1 -b 128", plain);
    const MemorySource source(packed);
    size_t kept = 0;
    size_t all = 0;
    for (const auto& point : record_pass(gzip(), source).points) {
        const auto history = gzip_place(point).history;
        for (size_t i = 0; i < history.size(); ++i) {
            const auto was = plain[point.plain - history.size() + i];
            EXPECT_TRUE(history[i] == std::byte{} || history[i] == was);
            kept += static_cast<size_t>(history[i] != std::byte{});
            all += static_cast<size_t>(was != std::byte{});
        }
    }
    EXPECT_LT(kept, all);
    EXPECT_GT(kept, 0U);
    EXPECT_EQ(HistorySieve().sparse({}, 0, plain), plain) << "too little to tell";
}

// Marked streams among unmarked ones: the pass goes back across members when the markers end.
TEST(GzipTest, MembersWithAndWithoutMarkersAreOneStream) {
    Bytes plain;
    Bytes packed;
    for (unsigned i = 0; i < 4; ++i) {
        const auto piece = mixed(5 * kMiB + i * 997, 10 + i);
        plain = joined(std::move(plain), piece);
        packed =
            joined(std::move(packed), packed_by(i % 2 == 0 ? "pigz -1 -b 128" : "gzip -5", piece));
    }
    expect_keeps_codec_contract(gzip(), packed, plain);
}

TEST(GzipTest, BehindAStretchWithoutMarkersTheFasterEngineGoesOn) {
    const auto unmarked = mixed(10 * kMiB, 5);
    const auto marked = mixed(5 * kMiB, 6);
    const MemorySource packed(
        joined(packed_by("gzip -1", unmarked), packed_by("pigz -1 -b 128", marked)));
    const auto found = record_pass(gzip(), packed);
    EXPECT_EQ(found.plain, joined(unmarked, marked));
    const auto by_blocks = [&](uint64_t plain) {
        const auto point = std::ranges::find_if(
            found.points, [&](const SeekPoint& other) { return other.plain > plain; });
        return gzip_place(*point).by_blocks;
    };
    EXPECT_TRUE(by_blocks(2 * kMiB));
    EXPECT_EQ(by_blocks(12 * kMiB), make_isal_inflater() == nullptr);
}

// The marker's four bytes inside stored data are no block start.
TEST(GzipTest, BytesThatLookLikeMarkersAreNotTaken) {
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
        expect_keeps_codec_contract(gzip(), packed_by(command, plain), plain);
    }
}

TEST(GzipTest, BothEnginesSayTheSameOfDamage) {
    const auto plain = mixed(200'000, 4);
    const auto packed = packed_by("pigz -1 -b 128", plain);
    std::mt19937_64 random(5);
    for (int i = 0; i < 400; ++i) {
        auto bad = packed;
        bad[20 + random() % (bad.size() - 20)] ^= static_cast<std::byte>(1U << random() % 8);
        const MemorySource source(bad);
        for (const bool portable : {true, false}) {
            try {
                const auto record = record_pass(gzip(), source, {.portable = portable});
                // In a run of zeros it is all one from where they are copied.
                EXPECT_TRUE(!record.mismatches.empty() || record.plain == plain)
                    << "the damage was not noticed";
            } catch (const std::system_error& error) {
                ASSERT_EQ(errno_of(error), EUCLEAN);
                ASSERT_NE(message_of(error).find("memory: byte "), std::string::npos);
            }
        }
    }
}

TEST(GzipTest, DamageIsFound) {
    auto plain = noise(20'000, 3);
    for (auto& byte : plain) {
        byte &= std::byte{0x1f};  // so that it is compressed, and nothing is all one
    }
    for (const auto* command : {"gzip -6", "pigz -1 -p2 -b 128", "bgzip -c"}) {
        SCOPED_TRACE(command);
        expect_bit_flips_are_found(gzip(), packed_by(command, plain), plain, 300);
    }
    const auto packed = packed_by("gzip -6", plain);
    expect_truncation_is_told(gzip(), packed, 100);
    expect_garbage_behind_is_told(gzip(), packed, plain);
}

// A point can come from a forged index: whatever it says, decoding ends, in bytes or an error.
TEST(GzipTest, AForgedPointGivesBytesOrAnError) {
    const auto plain = mixed(300'000, 6);
    const MemorySource source(packed_by("gzip -1", plain));
    std::mt19937_64 random(7);
    int errors = 0;
    for (int i = 0; i < 2000; ++i) {
        auto state = i % 2 == 0 ? Bytes() : noise(random() % 300, random());
        if (i % 3 == 0) {
            state = gzip_state({.history = noise(random() % 40'000, random())});
        }
        const SeekPoint point{random() % 1000, random() % (source.size() * 8), std::move(state)};
        Bytes out(1 + random() % 100'000);
        try {
            gzip().open(source, point)->read(out);
        } catch (const std::system_error& error) {
            ASSERT_EQ(errno_of(error), EUCLEAN);
            ++errors;
        }
    }
    EXPECT_GT(errors, 1000);
}

TEST(GzipTest, TheCrcIsZlibs) {
    const auto bytes = noise(10'001, 8);
    EXPECT_EQ(gzip_crc(ConstByteSpan(bytes).subspan(3), gzip_crc(ConstByteSpan(bytes).first(3), 0)),
              crc32(bytes));
}

}  // namespace
}  // namespace imgfs
