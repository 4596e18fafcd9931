#include <algorithm>
#include <iterator>

#include "tests/fs/source/index_fixture.h"

namespace imgfs {
namespace {

/// What is packed with a checksum is followed by something that is packed without.
struct Packers {
    std::string with;
    std::string without;
};

class VouchedTest : public IndexTest, public testing::WithParamInterface<Packers> {
  protected:
    VouchedTest() {
        const auto behind = mixed(kMiB, 9);
        packed_ = packed_by(GetParam().with, plain_);
        if (!GetParam().without.empty()) {
            packed_ = joined(std::move(packed_), packed_by(GetParam().without, behind));
            plain_.insert(plain_.end(), behind.begin(), behind.end());
        }
    }

    /// As a new user of the image finds it.
    void expect_vouched(Vouched at_start, Vouched at_end) {
        const auto opened = decode(memory(packed_), options());
        const auto size = opened.plain->size();
        ASSERT_EQ(size, plain_.size());
        EXPECT_EQ(opened.index->vouched(0, 1), at_start);
        EXPECT_EQ(opened.index->vouched(size - 1, size), at_end);
        EXPECT_EQ(opened.index->vouched(0, size), std::max(at_start, at_end));
    }
};

TEST_P(VouchedTest, WhatTheStreamHasNoChecksumForIsKnownInEveryPassAndFromTheIndex) {
    const auto at_end = GetParam().without.empty() ? Vouched::yes : Vouched::no;
    expect_vouched(Vouched::yes, at_end);
    expect_vouched(Vouched::yes, at_end);
    auto half = read_file(dir_ / "index", kGiB);
    half.resize(half.size() / 2);
    write_file(dir_ / "index", half);
    expect_vouched(Vouched::yes, at_end);
    EXPECT_NE(notes_.find("goes on where it stopped"), std::string::npos) << notes_;
}

INSTANTIATE_TEST_SUITE_P(
    Codecs, VouchedTest,
    testing::Values(Packers{"pigz -1", ""}, Packers{"zstd -1", "zstd -1 --no-check"},
                    Packers{"zstd -1", ""}, Packers{"lz4 -B4", "lz4 --no-frame-crc"},
                    Packers{"lz4 -BX --no-frame-crc", "lz4 -l"}, Packers{"lzop -1", "lzop -1 -F"},
                    Packers{"xz -0 --block-size=2MiB", "xz -0 --check=none"},
                    Packers{"lzip -0 -b 2MiB", ""}, Packers{"bzip2 -1", ""}),
    [](const auto& row) {
        auto name = std::to_string(row.index) + row.param.with;
        std::erase_if(name, [](char letter) { return std::isalnum(letter) == 0; });
        return name;
    });

TEST_F(IndexTest, ForAStreamWithoutAnyChecksumNothingVouches) {
    const auto opened = decode(memory(packed_by("xz -0 --format=lzma", mixed(200'000))), options());
    opened.plain->settle();
    EXPECT_EQ(opened.index->vouched(0, 1), Vouched::no);
}

}  // namespace
}  // namespace imgfs
