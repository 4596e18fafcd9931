// A partclone stream that lies: every field, every length, and thousands of random changes.
#include "fs/image/partclone_layout.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <new>
#include <random>

#include "fs/base/error.h"
#include "fs/image/partition.h"
#include "tests/support/image_builder.h"
#include "tests/support/memory_source.h"

namespace {

size_t largest_allocation = 0;  // since a test set it to 0

}  // namespace

// Every allocation of this program passes here, so that a test can see what a lying header costs.
[[gnu::noinline]] void* operator new(size_t size) {
    largest_allocation = std::max(largest_allocation, size);
    if (void* memory = std::malloc(size); memory != nullptr) {
        return memory;
    }
    throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
    std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept {
    std::free(memory);
}

namespace imgfs {
namespace {

/// Nothing is read but what is asked for.
const PartitionOptions kVouchedFor{.vouching = [](uint64_t, uint64_t) { return Vouched::yes; }};

const PartcloneSpec kSmall{.used = {true, true, false, true, false, true, true, false, true},
                           .tail = 300};

/// What opening the stream, reading it all and verifying it says; empty if nothing is wrong.
std::string complaint(Bytes stream, int& code) {
    const size_t size = stream.size();
    auto source = std::make_unique<MemorySource>(std::move(stream));
    std::string line;
    largest_allocation = 0;
    code = 0;
    try {
        const auto partition = open_partition(std::move(source), kVouchedFor);
        partition->verify([&](const std::string& damage) { line = damage; }, {});
        EXPECT_LE(largest_allocation, size + 4096);
        Bytes some(std::min<uint64_t>(partition->size(), kMiB));
        partition->read(0, some);
        partition->read(partition->size() - some.size(), some);
        partition->identity();
    } catch (const std::system_error& error) {
        line = message_of(error);
        code = error.code().value();
        EXPECT_LE(largest_allocation, size + 4096) << line;
    }
    return line;
}

template <typename Integer>
Bytes with_field(size_t offset, Integer value) {
    auto stream = build_partclone(kSmall).stream;
    store<Integer>(stream, offset, value);
    seal_partclone_header(stream);
    return stream;
}

struct LyingField {
    const char* says;
    Bytes stream;
    int code;
    const char* answer;
};

TEST(PartcloneLayoutTest, RefusesEveryFieldThatLies) {
    constexpr auto kMost64 = ~uint64_t{0};
    const std::vector<LyingField> fields{
        {"device of 0", with_field<uint64_t>(52, 0), EUCLEAN, "don't fit a device of 0"},
        {"device one byte short", with_field<uint64_t>(52, 9 * 512 - 1), EUCLEAN, "don't fit"},
        {"device of 2^64", with_field<uint64_t>(52, kMost64), EUCLEAN, "don't fit"},
        {"device of 2^63", with_field<uint64_t>(52, uint64_t{1} << 63), EUCLEAN, "don't fit"},
        {"no blocks", with_field<uint64_t>(60, 0), EUCLEAN, "absurd number of blocks 0"},
        {"2^64 blocks", with_field<uint64_t>(60, kMost64), EUCLEAN, "absurd number"},
        {"2^43+1 blocks", with_field<uint64_t>(60, (uint64_t{1} << 43) + 1), EUCLEAN, "absurd"},
        {"2^43 blocks", with_field<uint64_t>(60, uint64_t{1} << 43), EUCLEAN, "don't fit"},
        {"ten blocks", with_field<uint64_t>(60, 10), EUCLEAN, "don't fit"},
        {"more used than there are", with_field<uint64_t>(76, 10), EUCLEAN, "more blocks used"},
        {"block size 0", with_field<uint32_t>(84, 0), EUCLEAN, "absurd block size 0"},
        {"block size 2^32", with_field<uint32_t>(84, ~0U), EUCLEAN, "absurd block size"},
        {"larger blocks", with_field<uint32_t>(84, 1024), EUCLEAN, "don't fit"},
        {"other features", with_field<uint32_t>(88, 19), ENOTSUP, "not known"},
        {"other version", with_field<uint16_t>(92, 3), ENOTSUP, "not known"},
        {"other mode", with_field<uint16_t>(96, 0x32), ENOTSUP, "checksum mode 50"},
        {"no checksum size", with_field<uint16_t>(98, 0), EUCLEAN, "checksums of 0 bytes"},
        {"large checksums", with_field<uint16_t>(98, 0xFFFF), EUCLEAN, "checksums of 65535"},
        {"no blocks a checksum", with_field<uint32_t>(100, 0), EUCLEAN, "no blocks per"},
        {"one block a checksum", with_field<uint32_t>(100, 1), EUCLEAN, "stream ends after"},
        {"no bitmap", with_field<uint8_t>(105, 0), EUCLEAN, "after 6 of 9 used blocks"},
        {"byte map", with_field<uint8_t>(105, 8), EUCLEAN, "bitmap of used blocks is damaged"},
        {"odd bitmap", with_field<uint8_t>(105, 2), EUCLEAN, "bitmap mode 2"},
        {"big-endian", with_field<uint16_t>(34, 0xDEC0), ENOTSUP, "big-endian"},
        {"no endian mark", with_field<uint16_t>(34, 0x1234), ENOTSUP, "not known"},
        {"0001", with_field<uint32_t>(30, 0x31303030), EUCLEAN, "ends inside the partclone header"},
        {"0003", with_field<uint32_t>(30, 0x33303030), ENOTSUP, "version 0003"},
        {"binary version", with_field<uint32_t>(30, 0x1b1b1b1b), ENOTSUP, R"($'\x1b\x1b)"},
    };
    for (const auto& field : fields) {
        int code = 0;
        const auto line = complaint(field.stream, code);
        EXPECT_EQ(code, field.code) << field.says << ": " << line;
        EXPECT_NE(line.find(field.answer), std::string::npos) << field.says << ": " << line;
        EXPECT_TRUE(line.starts_with("memory: byte ")) << line;
    }
}

TEST(PartcloneLayoutTest, AllocatesNothingForABitmapThatTheStreamHasNoRoomFor) {
    auto stream = with_field<uint64_t>(52, uint64_t{1} << 62);
    store<uint64_t>(stream, 60, uint64_t{1} << 40);
    seal_partclone_header(stream);
    int code = 0;
    const auto line = complaint(stream, code);
    EXPECT_EQ(code, EUCLEAN);
    EXPECT_NE(line.find("ends inside the bitmap"), std::string::npos) << line;
}

TEST(PartcloneLayoutTest, ServesAHugeDeviceOfWhichLittleIsInTheImage) {
    int code = 0;
    EXPECT_EQ(complaint(with_field<uint64_t>(52, (uint64_t{1} << 63) - 1), code), "");
}

TEST(PartcloneLayoutTest, KeepsControlCharactersOfNamesFromTheTerminal) {
    auto stream = build_partclone(kSmall).stream;
    stream[16] = std::byte{0x1b};
    stream[36] = std::byte{0x07};
    seal_partclone_header(stream);
    const auto header = read_partclone_header(MemorySource(stream));
    EXPECT_EQ(header.made_by, R"($'\x1b.3.99')");
    EXPECT_EQ(header.file_system, R"($'\x07XTFS')");
}

TEST(PartcloneLayoutTest, FindsAnyFlippedBitOfTheHeaderAndTheBitmap) {
    const auto good = build_partclone(kSmall).stream;
    for (size_t bit = 0; bit < (110 + 2 + 4) * 8; ++bit) {
        auto stream = good;
        stream[bit / 8] ^= std::byte{1} << (bit % 8);
        int code = 0;
        const auto line = complaint(stream, code);
        EXPECT_TRUE(code == EUCLEAN || code == ENOTSUP) << "bit " << bit << ": " << line;
    }
}

TEST(PartcloneLayoutTest, RefusesAStreamThatIsCutAnywhere) {
    const auto good = build_partclone(kSmall).stream;
    for (size_t size = 64; size < good.size(); ++size) {
        int code = 0;
        const auto line =
            complaint({good.begin(), good.begin() + static_cast<ptrdiff_t>(size)}, code);
        EXPECT_EQ(code, EUCLEAN) << size << ": " << line;
        EXPECT_TRUE(line.starts_with("memory: byte " + std::to_string(size - 1) + ": stream ends"))
            << line;
    }
}

TEST(PartcloneLayoutTest, SaysHowManyBlocksACutStreamStillHas) {
    auto stream = build_partclone(kSmall).stream;
    stream.resize(110 + 2 + 4 + 3 * 512 + 4 + 600);
    int code = 0;
    EXPECT_EQ(complaint(stream, code),
              "memory: byte 2255: stream ends after 4 of 6 used blocks, 940 bytes too early (a "
              "part is missing or cut short)");
}

TEST(PartcloneLayoutTest, TakesBytesBehindTheLastChecksumForDamage) {
    auto stream = build_partclone(kSmall).stream;
    stream.resize(stream.size() + 1000);
    int code = 0;
    EXPECT_EQ(complaint(stream, code),
              "memory: byte " + std::to_string(stream.size() - 1000) +
                  ": 1,000 bytes stand behind the end that the image's header promises");
    EXPECT_EQ(code, 0) << "it can be read";
}

TEST(PartcloneLayoutTest, OpensOrThrowsWhateverTheBytesAre) {
    const auto good = build_partclone(kSmall).stream;
    std::mt19937_64 random(1);
    int opened = 0;
    for (int i = 0; i < 4000; ++i) {
        auto stream = good;
        for (auto changes = 1 + random() % 4; changes > 0; --changes) {
            const auto at = random() % 2 == 0 ? 34 + random() % 72 : random() % stream.size();
            stream[at] = static_cast<std::byte>(random() % 3 == 0 ? 0xFF : random());
        }
        if (random() % 4 != 0) {
            seal_partclone_header(stream);
        }
        if (random() % 8 == 0) {
            stream.resize(random() % stream.size());
        }
        int code = 0;
        complaint(stream, code);
        opened += code == 0 ? 1 : 0;
    }
    EXPECT_GT(opened, 100);
    EXPECT_LT(opened, 3900);
}

}  // namespace
}  // namespace imgfs
