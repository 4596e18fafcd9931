// A unit too large to be checked before it is given out.
#pragma once

#include <gtest/gtest.h>

#include "fs/base/checksum.h"
#include "tests/support/codec_contract.h"
#include "tests/support/memory_source.h"

namespace imgfs {

/// What the codec's contract says, as far as it takes no long time with some 35 MiB: the pass
/// decodes all, and from the first point on it can be decoded again, in one read or in two.
inline void expect_one_large_unit(const Codec& codec, const Bytes& packed, const Bytes& plain) {
    const MemorySource source(packed);
    const auto record = record_pass(codec, source);
    EXPECT_EQ(record.skipped + record.lost, 0U);
    EXPECT_EQ(record.mismatches, std::vector<std::string>());
    ASSERT_EQ(record.plain.size(), plain.size());
    EXPECT_EQ(xxh3_64(record.plain), xxh3_64(plain));
    ASSERT_FALSE(record.points.empty());
    for (const size_t first : {plain.size(), plain.size() / 3}) {
        Bytes again(plain.size());
        const auto decoder = codec.open(source, record.points.front());
        decoder->read(ByteSpan(again).first(first));
        decoder->read(ByteSpan(again).subspan(first));
        EXPECT_EQ(xxh3_64(again), xxh3_64(plain));
    }
}

}  // namespace imgfs
