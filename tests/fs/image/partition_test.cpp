#include "fs/image/partition.h"

#include <gtest/gtest.h>

#include "fs/base/error.h"
#include "fs/image/raw_partition.h"
#include "tests/support/faulty_source.h"
#include "tests/support/image_builder.h"
#include "tests/support/source_contract.h"

namespace imgfs {
namespace {

std::unique_ptr<Partition> open_bytes(Bytes bytes) {
    return open_partition(std::make_unique<MemorySource>(std::move(bytes)));
}

void expect_refused(Bytes bytes, int code, const std::string& words) {
    try {
        open_bytes(std::move(bytes));
        ADD_FAILURE() << "opened; expected: " << words;
    } catch (const std::system_error& error) {
        EXPECT_EQ(error.code().value(), code) << error.what();
        EXPECT_NE(message_of(error).find(words), std::string::npos) << error.what();
    }
}

Bytes sectors_with(size_t offset, std::string_view mark) {
    Bytes bytes(2048);
    std::ranges::copy(bytes_of(mark), bytes.begin() + static_cast<ptrdiff_t>(offset));
    return bytes;
}

TEST(PartitionTest, TakesWholeSectorsWithoutAMarkForRaw) {
    const auto bytes = noise(10 * 512, 3);
    const auto partition = open_bytes(bytes);
    expect_keeps_source_contract(*partition, bytes);
    EXPECT_EQ(partition->info().format, "raw");
    EXPECT_EQ(partition->info().device_size, bytes.size());
    EXPECT_EQ(partition->info().block_size, 0);
    EXPECT_EQ(partition->info().checksum, "none");
}

TEST(PartitionTest, OfRawBytesItIsKnownWhetherTheySayWhatTheyAre) {
    EXPECT_TRUE(says_what_it_is(MemorySource(sectors_with(510, "\x55\xaa"))));
    EXPECT_TRUE(says_what_it_is(MemorySource(sectors_with(1080, "\x53\xef"))));
    EXPECT_TRUE(says_what_it_is(MemorySource(sectors_with(0, "XFSB"))));
    EXPECT_FALSE(says_what_it_is(MemorySource(sectors_with(600, "XFSB"))));
    EXPECT_FALSE(says_what_it_is(MemorySource(Bytes(512))));
}

TEST(PartitionTest, RefusesWhatIsPlainlyNoImage) {
    expect_refused({}, EMEDIUMTYPE, "memory: byte 0: not an image that imgfs knows");
    expect_refused(to_bytes("Dear diary,\n"), EMEDIUMTYPE, "not an image that imgfs knows");
    expect_refused(noise(513, 1), EMEDIUMTYPE, "not an image that imgfs knows");
}

TEST(PartitionTest, RefusesOtherFormatsByName) {
    using namespace std::string_view_literals;
    expect_refused(sectors_with(0, "\0ntfsclone-image"sv), ENOTSUP, "ntfsclone image");
    expect_refused(sectors_with(0, "PaRtImAgE-VoLuMe"), ENOTSUP, "partimage image");
    expect_refused(sectors_with(0, "QFI\xfb"), ENOTSUP, "qcow2 image is not handled; convert");
    expect_refused(sectors_with(0, "KDMV"), ENOTSUP, "VMDK image");
    expect_refused(sectors_with(0, "vhdxfile"), ENOTSUP, "VHDX image");
    expect_refused(sectors_with(64, "\x7f\x10\xda\xbe"), ENOTSUP, "VDI image");
}

TEST(PartitionTest, SeesAPartcloneImageWhoseFirstBytesAreDamaged) {
    auto stream = build_partclone({.used = std::vector<bool>(64, true)}).stream;
    stream.resize(round_up(stream.size(), 512));  // so that it could be a raw image
    stream[3] = std::byte{0};
    expect_refused(stream, EUCLEAN, "partclone header: its checksum is wrong");
}

TEST(PartitionTest, VerifyOfRawReadsAllAndReportsWhatCannotBeDecoded) {
    const auto bytes = noise(3 * kMiB, 3);
    std::vector<std::string> damage;
    const auto report = [&](const std::string& line) { damage.push_back(line); };
    uint64_t read = 0;
    EXPECT_EQ(open_bytes(bytes)->verify(report, [&](uint64_t done, uint64_t) { read = done; }), 0);
    EXPECT_EQ(read, bytes.size());
    EXPECT_TRUE(damage.empty());

    const auto faulty = open_partition(std::make_unique<FaultySource>(
        bytes, Fault{.start = 2'000'000, .length = 100'000, .code = EUCLEAN}));
    EXPECT_EQ(faulty->verify(report, {}), 0);
    ASSERT_EQ(damage.size(), 1);
    EXPECT_NE(damage[0].find("can't be read: fault planted at byte 2000000"), std::string::npos);

    const auto dying = open_partition(
        std::make_unique<FaultySource>(bytes, Fault{.start = 2'000'000, .length = 1, .code = EIO}));
    EXPECT_THROW(dying->verify(report, {}), std::system_error);
}

TEST(PartitionTest, VerifyGivesUpWhereNothingIsReadableForALongStretch) {
    const auto partition = open_partition(std::make_unique<FaultySource>(
        Bytes(300 * kMiB), Fault{.start = 4096, .length = 300 * kMiB, .code = EUCLEAN}));
    std::vector<std::string> damage;
    partition->verify([&](const std::string& line) { damage.push_back(line); }, {});
    ASSERT_EQ(damage.size(), 2);
    EXPECT_NE(damage[1].find("the rest was not checked"), std::string::npos) << damage[1];
}

TEST(PartitionTest, IdentityIsThatOfTheContentHoweverItIsPacked) {
    const PartcloneSpec crc{.used = used_blocks(5000, 50, 1)};
    auto xxh = crc;
    xxh.checksum_mode = 0x31;
    xxh.blocks_per_checksum = 100;
    xxh.bits_past_end = true;
    const auto identity = open_bytes(build_partclone(crc).stream)->identity();
    EXPECT_EQ(open_bytes(build_partclone(xxh).stream)->identity(), identity);
}

TEST(PartitionTest, IdentityChangesWithSizeBitmapAndFirstMiB) {
    const PartcloneSpec spec{.used = used_blocks(5000, 50, 1)};
    const auto identity = open_bytes(build_partclone(spec).stream)->identity();
    auto longer = spec;
    longer.tail = 1;
    auto fuller = spec;
    fuller.used.back() = !fuller.used.back();
    auto other = spec;
    other.seed = 2;
    for (const auto& changed : {longer, fuller, other}) {
        EXPECT_NE(open_bytes(build_partclone(changed).stream)->identity(), identity);
    }
    EXPECT_NE(open_bytes(build_partclone(spec).plain)->identity(), identity);
}

}  // namespace
}  // namespace imgfs
