#include "fs/source/decode.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <random>
#include <thread>

#include "fs/base/error.h"
#include "fs/base/fd.h"
#include "tests/fs/source/index_fixture.h"
#include "tests/support/counting_source.h"
#include "tests/support/memory_source.h"
#include "tests/support/packed.h"
#include "tests/support/shell.h"
#include "tests/support/source_contract.h"
#include "tests/support/temp_dir.h"
#include "tests/support/thrown.h"

namespace imgfs {
namespace {

struct Outcome {
    int error = 0;
    std::string message;
    Bytes plain;
};

Outcome try_decoding(Bytes packed, const DecodeOptions& options = {}) {
    Outcome outcome;
    try {
        outcome.plain = read_all(*decoded(memory(std::move(packed)), options));
    } catch (const std::system_error& error) {
        outcome.error = errno_of(error);
        outcome.message = message_of(error);
    }
    return outcome;
}

TEST(DecodeTest, EveryWriterOfGzipIsReadAtRandom) {
    const auto plain = mixed(18 * kMiB + 12'345);
    for (const auto* command : {"gzip -6", "gzip -1 --rsyncable", "pigz --fast -b 1024 --rsyncable",
                                "pigz -0", "pigz -i -p2", "gzip -9"}) {
        SCOPED_TRACE(command);
        expect_keeps_source_contract(*decoded(memory(packed_by(command, plain)), {}), plain);
    }
}

TEST(DecodeTest, SeveralMembersEmptyOnesAndTapePaddingAreOneStream) {
    const auto first = mixed(5 * kMiB);
    const auto second = noise(300'000, 2);
    auto packed = joined(packed_by("gzip -N", first), packed_by("gzip", {}));
    packed = joined(std::move(packed), packed_by("pigz -n", second));
    packed.resize(packed.size() + 512);
    expect_keeps_source_contract(*decoded(memory(packed), {}), joined(first, second));
    expect_keeps_source_contract(*decoded(memory(packed_by("gzip", {})), {}), {});
}

TEST(DecodeTest, ManySmallMembersAreRead) {
    Bytes plain;
    Bytes packed;
    const auto member = packed_by("gzip", noise(70'000, 5));
    for (int i = 0; i < 150; ++i) {
        plain = joined(std::move(plain), noise(70'000, 5));
        packed = joined(std::move(packed), member);
    }
    expect_keeps_source_contract(*decoded(memory(packed), {}), plain);
}

TEST(DecodeTest, ALongRunOfZerosNeedsNoMoreMemoryThanTheCache) {
    const auto packed = packed_by("head -c 300M /dev/zero | gzip -9", {});
    const auto source = decoded(memory(packed), {.cache_size = kMiB});
    EXPECT_EQ(source->size(), 300 * kMiB);
    Bytes out(100'000, std::byte{1});
    source->read(299 * kMiB, out);
    EXPECT_TRUE(std::ranges::all_of(out, [](std::byte b) { return b == std::byte{}; }));
}

TEST(DecodeTest, OneReadDecodesOneSpacingAtMost) {
    const TempDir dir;
    const auto plain = noise(24 * kMiB, 3);
    const auto packed = packed_by("gzip -1", plain);
    const DecodeOptions options{.index_files = {dir / "index"}};
    decoded(memory(packed), options)->settle();
    std::atomic<uint64_t> read = 0;
    const auto source = decoded(std::make_unique<CountingSource>(memory(packed), read), options);
    EXPECT_LT(read, 1000u) << "with an index nothing is read at the start";
    Bytes out(4096);
    source->read(13 * kMiB, out);
    EXPECT_LT(read, 6 * kMiB);
    EXPECT_TRUE(std::ranges::equal(out, ConstByteSpan(plain).subspan(13 * kMiB, 4096)));
}

TEST(DecodeTest, AReaderThatGoesForwardIsReadAhead) {
    const TempDir dir;
    const auto packed = packed_by("gzip -1", noise(12 * kMiB, 3));
    const DecodeOptions options{.index_files = {dir / "index"}};
    decoded(memory(packed), options)->settle();
    std::atomic<uint64_t> read = 0;
    const auto source = decoded(std::make_unique<CountingSource>(memory(packed), read), options);
    std::array<std::byte, 1> byte{};
    for (uint64_t offset = 0; offset < 4 * kMiB; offset += kHashedPiece) {
        source->read(offset, byte);
    }
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (read < 5 * kMiB && std::chrono::steady_clock::now() < deadline) {
        std::this_thread::yield();
    }
    EXPECT_GE(read, 5 * kMiB);
}

TEST(DecodeTest, EveryCodecIsKnownByContentAndReadAtRandom) {
    const auto plain = mixed(3 * kMiB + 99);
    for (const auto& [command, name] :
         {std::pair{"zstd -c", "zstd"}, std::pair{"xz -0 -c", "xz"},
          std::pair{"lzip -0 -c", "lzip"}, std::pair{"xz --format=lzma -0 -c", "lzma"},
          std::pair{"bzip2 -c", "bzip2"}, std::pair{"lz4 -c", "lz4"},
          std::pair{"lzop -c", "lzop"}}) {
        SCOPED_TRACE(command);
        const auto packed = packed_by(command, plain);
        EXPECT_EQ(codec_of(MemorySource(packed)), name);
        expect_keeps_source_contract(*decoded(memory(packed), {}), plain);
        const TempDir dir;
        const DecodeOptions options{.index_files = {dir / "index"}};
        decoded(memory(packed), options)->settle();
        expect_keeps_source_contract(*decoded(memory(packed), options), plain);
    }
}

TEST(DecodeTest, ACodecThatIsNotInTheTableIsRefused) {
    EXPECT_EQ(error_of([] { codec_named("arj"); }), EINVAL);
}

TEST(DecodeTest, LrzipIsRefusedWithTheCommandThatConvertsIt) {
    const auto outcome =
        try_decoding(packed_by("cat >plain2 && lrzip -q -o - plain2", mixed(100'000)));
    EXPECT_EQ(outcome.error, ENOTSUP);
    EXPECT_NE(outcome.message.find("lrzip -dqo -"), std::string::npos) << outcome.message;
    EXPECT_EQ(codec_of(MemorySource(to_bytes("\x89LZO"))), "none");
}

TEST(DecodeTest, WhatIsNotCompressedPassesThrough) {
    const auto plain = noise(5000, 4);
    expect_keeps_source_contract(*decoded(memory(plain), {}), plain);
    EXPECT_EQ(codec_of(MemorySource({})), "none");
    Bytes boot_sector(512);
    boot_sector[0] = std::byte{0x5d};  // .lzma's first byte: not enough
    EXPECT_EQ(codec_of(MemorySource(boot_sector)), "none");
}

TEST(DecodeTest, ATruncatedStreamSaysThatAPartIsMissing) {
    const auto packed = packed_by("gzip -1", mixed(200'000));
    std::mt19937_64 random(1);
    for (int i = 0; i < 300; ++i) {
        auto cut = packed;
        cut.resize(4 + random() % (packed.size() - 4));
        const auto outcome = try_decoding(std::move(cut));
        ASSERT_EQ(outcome.error, EUCLEAN);
        ASSERT_NE(outcome.message.find("missing or cut short"), std::string::npos)
            << outcome.message;
    }
}

TEST(DecodeTest, GarbageBehindTheStreamIsDamage) {
    const auto packed = packed_by("gzip", mixed(100'000));
    EXPECT_EQ(try_decoding(joined(packed, to_bytes("garbage"))).error, EUCLEAN);
    auto padded = packed;
    padded.resize(packed.size() + 10);
    EXPECT_EQ(try_decoding(joined(padded, packed)).error, EUCLEAN) << "zeros between members";
}

TEST(DecodeTest, AFlippedBitIsFoundAndNeverReadAsData) {
    const auto plain = mixed(120'000);
    const auto packed = packed_by("gzip -6", plain);
    std::mt19937_64 random(2);
    for (int i = 0; i < 3000; ++i) {
        auto bad = packed;
        bad[random() % bad.size()] ^= static_cast<std::byte>(1U << random() % 8);
        const auto outcome = try_decoding(std::move(bad));
        // Times and names in the header may change unnoticed; the bytes may not.
        ASSERT_TRUE(outcome.error != 0 || outcome.plain == plain);
    }
}

TEST_F(IndexTest, IsMadeOnceAndUsedAgain) {
    decoded(memory(packed_), options())->settle();
    const auto made = read_file(dir_ / "index", kGiB);
    int calls = 0;
    auto again = options();
    again.progress = [&](uint64_t, uint64_t) { ++calls; };
    expect_keeps_source_contract(*decoded(memory(packed_), again), plain_);
    EXPECT_EQ(calls, 0);
    EXPECT_EQ(read_file(dir_ / "index", kGiB), made);
    EXPECT_EQ(notes_, "");
}

// INDEX.md, invariant 1.
TEST_F(IndexTest, OfOtherFilesIsMadeAgain) {
    decoded(memory(packed_), options())->settle();
    auto changed = options();
    changed.packed_identity = to_bytes("touched");
    expect_keeps_source_contract(*decoded(memory(packed_), changed), plain_);
    EXPECT_NE(notes_.find("made again"), std::string::npos) << notes_;
}

// INDEX.md, invariants 1 to 5: each byte of the file is under a checksum.
TEST_F(IndexTest, DamagedAnywhereIsMadeAgainAndNeverBelieved) {
    decoded(memory(packed_), options())->settle();
    const auto good = read_file(dir_ / "index", kGiB);
    std::mt19937_64 random(3);
    for (int i = 0; i < 60; ++i) {
        auto bad = good;
        const auto at = i < 40 ? static_cast<size_t>(i) * 7 : random() % bad.size();
        bad[at] ^= static_cast<std::byte>(1U << random() % 8);
        write_file(dir_ / "index", bad);
        notes_.clear();
        const auto source = decoded(memory(packed_), options());
        EXPECT_NE(notes_, "") << "byte " << at;
        EXPECT_EQ(read_all(*source), plain_);
    }
}

// INDEX.md, invariant 2.
TEST_F(IndexTest, HalfWrittenIsGoneOnWith) {
    decoded(memory(packed_), options())->settle();
    const auto good = read_file(dir_ / "index", kGiB);
    for (const size_t size :
         {size_t{0}, size_t{50}, size_t{80}, size_t{81}, good.size() / 2, good.size() - 1}) {
        auto half = good;
        half.resize(size);
        write_file(dir_ / "index", half);
        notes_.clear();
        expect_keeps_source_contract(*decoded(memory(packed_), options()), plain_);
        EXPECT_EQ(notes_ != "", size != 80) << size;
        notes_.clear();
        expect_keeps_source_contract(*decoded(memory(packed_), options()), plain_);
        EXPECT_EQ(notes_, "") << "it is complete now";
    }
}

TEST_F(IndexTest, GoesToTheFirstPlaceThatCanBeWritten) {
    write_file(dir_ / "file", {});
    auto places = options();
    places.index_files = {dir_ / "file" / "index", dir_ / "new" / "folder" / "index"};
    decoded(memory(packed_), places)->settle();
    EXPECT_TRUE(std::filesystem::exists(dir_ / "new/folder/index"));
    EXPECT_EQ(notes_, "");
    places.index_files = {dir_ / "file" / "index"};
    expect_keeps_source_contract(*decoded(memory(packed_), places), plain_);
    EXPECT_NE(notes_.find("can't be kept"), std::string::npos) << notes_;
}

TEST_F(IndexTest, WhatSomebodyPutInItsPlaceIsLeftAlone) {
    write_file(dir_ / "short", to_bytes("mine"));
    std::filesystem::create_symlink(dir_ / "short", dir_ / "index");
    expect_keeps_source_contract(*decoded(memory(packed_), options()), plain_);
    EXPECT_EQ(read_file(dir_ / "short", 100), to_bytes("mine"));
    EXPECT_NE(notes_.find("can't be kept"), std::string::npos) << notes_;
    std::filesystem::remove(dir_ / "index");
    run("mkfifo " + (dir_ / "index").string());
    expect_keeps_source_contract(*decoded(memory(packed_), options()), plain_);
}

TEST_F(IndexTest, TellsBytesThatWereDamagedLater) {
    decoded(memory(packed_), options())->settle();
    std::mt19937_64 random(4);
    for (int i = 0; i < 30; ++i) {
        auto bad = packed_;
        bad[2000 + random() % (bad.size() - 2008)] ^= std::byte{4};
        const auto outcome = try_decoding(std::move(bad), options());
        EXPECT_EQ(outcome.error, EUCLEAN);
    }
}

// INDEX.md, invariant 7.
TEST_F(IndexTest, WhatWasMadeBehindDamageIsNotBelieved) {
    const auto noisy = noise(600'000, 7);
    for (const std::string command :
         {"gzip -1", "pigz -1 -b 128", "lz4 -B4 -BX", "bzip2 -1", "zstd"}) {
        SCOPED_TRACE(command);
        const auto member = packed_by(command, noisy);
        auto packed = joined(member, member);
        packed[member.size() / 2] ^= std::byte{1};
        auto rescuing = options();
        rescuing.index_files = {dir_ / command.substr(0, 3)};
        auto ordinary = rescuing;
        int damages = 0;
        rescuing.on_damage = [&](const std::string&) { ++damages; };
        for (int i = 1; i <= 2; ++i) {
            const auto before = damages;
            try {
                decoded(memory(packed), rescuing)->settle();
            } catch (const std::system_error&) {
                ++damages;  // nothing behind it can be had
            }
            EXPECT_GT(damages, before) << i;
        }
        EXPECT_EQ(try_decoding(packed, ordinary).error, EUCLEAN);
        EXPECT_EQ(try_decoding(packed, ordinary).error, EUCLEAN);
    }
}

TEST_F(IndexTest, IsWrittenIntoNobodysFile) {
    write_file(dir_ / "notes", to_bytes("a user's short notes"));
    std::filesystem::create_hard_link(dir_ / "notes", dir_ / "index");
    decoded(memory(packed_), options())->settle();
    EXPECT_EQ(read_file(dir_ / "notes", 100), to_bytes("a user's short notes"));
}

TEST_F(IndexTest, IsReadByThoseWhoMayReadTheImage) {
    auto shared = options();
    shared.index_mode = 0640;
    decoded(memory(packed_), shared)->settle();
    const auto mode = [&](const char* name) {
        return static_cast<unsigned>(std::filesystem::status(dir_ / name).permissions());
    };
    EXPECT_EQ(mode("index"), 0640U);
    shared.packed_identity = to_bytes("another");
    shared.index_mode = 0600;
    decoded(memory(packed_), shared)->settle();
    EXPECT_EQ(mode("index"), 0600U);
}

// INDEX.md, invariant 1.
TEST_F(IndexTest, ThatIsHalfDenseBecomesWhollyDense) {
    auto dense = options();
    dense.dense = true;
    decoded(memory(packed_), dense)->settle();
    const auto whole = read_file(dir_ / "index", kGiB);
    auto half = whole;
    half.resize(half.size() / 2);
    write_file(dir_ / "index", half);
    decoded(memory(packed_), options())->settle();
    EXPECT_EQ(read_file(dir_ / "index", kGiB), whole);
}

TEST(DecodeTest, ReadersOfAStreamWithALargeWindowWaitForOneAnotherAndGetTheirBytes) {
    const auto plain = mixed(12 * kMiB);
    const auto source =
        decoded(memory(packed_by("zstd -3 --long=27 --single-thread", joined(plain, plain))),
                {.cache_size = 2 * kMiB});
    const auto total = source->size();
    std::atomic<int> wrong = 0;
    std::vector<std::jthread> readers;
    for (uint64_t seed = 0; seed < 4; ++seed) {
        readers.emplace_back([&, seed] {
            std::mt19937_64 random(seed);
            Bytes out(4096);
            for (int i = 0; i < 4; ++i) {
                const auto offset = random() % (total - out.size());
                source->read(offset, out);
                for (size_t at = 0; at < out.size(); ++at) {
                    wrong += out[at] == plain[(offset + at) % plain.size()] ? 0 : 1;
                }
            }
        });
    }
    readers.clear();
    EXPECT_EQ(total, 2 * plain.size());
    EXPECT_EQ(wrong, 0);
}

TEST_F(IndexTest, ManyReadersAtOnceGetTheirBytes) {
    auto small = options();
    small.cache_size = 5 * kMiB;  // less than they all want
    const auto source = decoded(memory(packed_), small);
    std::vector<std::thread> readers;
    std::atomic<int> wrong = 0;
    for (uint64_t seed = 0; seed < 6; ++seed) {
        readers.emplace_back([&, seed] {
            std::mt19937_64 random(seed);
            Bytes out(50'000);
            for (int i = 0; i < 60; ++i) {
                const auto offset = seed < 2 ? static_cast<uint64_t>(i) * 150'000
                                             : random() % (plain_.size() - out.size());
                source->read(offset, out);
                wrong += std::ranges::equal(out, ConstByteSpan(plain_).subspan(offset, out.size()))
                             ? 0
                             : 1;
            }
        });
    }
    for (auto& reader : readers) {
        reader.join();
    }
    EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace imgfs
