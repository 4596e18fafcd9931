#include "fs/source/gzip.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>

#include "fs/base/error.h"
#include "fs/source/gzip_decoder.h"
#include "fs/source/sparse_history.h"
#include "tests/support/codec_contract.h"
#include "tests/support/memory_source.h"
#include "tests/support/packed.h"

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
    EXPECT_EQ(sparse_history({}, 0, plain), plain) << "too little to tell";
}

}  // namespace
}  // namespace imgfs
