#include "tests/fuzz/index_input.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "fs/base/checksum.h"
#include "fs/base/error.h"
#include "fs/base/fd.h"
#include "fs/source/decode.h"
#include "tests/support/memory_source.h"
#include "tests/support/packed.h"
#include "tests/support/temp_dir.h"

namespace imgfs {
namespace {

constexpr size_t kSegmentHead = 32;

/// What an index may be of: with hashes, without, and with states.
struct Stream {
    uint32_t codec;
    Bytes packed;
};

const Bytes& plain() {
    static const auto bytes = joined(mixed(20'000, 3), Bytes(130'000));
    return bytes;
}

const std::vector<Stream>& streams() {
    static const std::vector<Stream> all = {
        {6, packed_by("bzip2 -1", plain())},
        {3, packed_by("xz -0 --block-size=70KiB", plain())},
        {1, packed_by("gzip -1", plain())},
    };
    return all;
}

/// That which the header names, or else the first.
const Stream& stream_of(ConstByteSpan index) {
    const auto codec = index.size() < IndexFile::kHeaderSize ? 0 : le32(index, 24);
    const auto found = std::ranges::find(streams(), codec, &Stream::codec);
    return found == streams().end() ? streams().front() : *found;
}

Bytes mended(Bytes file) {
    const ByteSpan bytes(file);
    if (file.size() < IndexFile::kHeaderSize) {
        return file;
    }
    store(bytes, 72, xxh3_64(bytes.first(72)));
    for (uint64_t at = IndexFile::kHeaderSize; at + kSegmentHead <= file.size();) {
        const auto length = std::min(le64(bytes, at + 8), file.size() - at - kSegmentHead);
        store(bytes, at + 16, xxh3_64(bytes.subspan(at + kSegmentHead, length)));
        store(bytes, at + 24, xxh3_64(bytes.subspan(at, 24)));
        at += kSegmentHead + length;
    }
    return file;
}

const std::filesystem::path& folder() {
    static const TempDir dir(memory_directory());
    return dir.path();
}

std::filesystem::path placed(ConstByteSpan index) {
    const auto path = folder() / "index";
    std::filesystem::remove(path);
    write_file(path, index);
    return path;
}

/// INDEX.md, invariants 3 to 5.
void expect_invariants(ConstByteSpan index) {
    const auto path = placed(index);
    const IndexFile file(open_file(path, O_RDONLY), path.string());
    for (uint64_t at = IndexFile::kHeaderSize; const auto read = file.read_record(at);) {
        const auto& record = read->record;
        EXPECT_LE(record.begin, record.end);
        EXPECT_EQ(record.begin % kHashedPiece, 0U);
        EXPECT_LE(record.point.plain, record.begin);
        EXPECT_TRUE(record.hashes.empty() ||
                    record.hashes.size() == piece_count(record.end - record.begin));
        EXPECT_GT(read->next, at);
        at = read->next;
    }
    if (const auto end = file.read_end()) {
        ASSERT_FALSE(end->entries.empty());
        EXPECT_EQ(end->entries.front().begin, 0U);
        EXPECT_LE(end->entries.back().begin, end->plain_size);
    }
}

enum class Sound { yes, maybe_not };

DecodeOptions with_index(const std::filesystem::path& path) {
    return {.index_files = {path}, .packed_identity = to_bytes("as it was")};
}

/// Reads from the end to the start, so that each record is asked for; at most the stream's bytes.
void expect_reads_end(ConstByteSpan index, Sound bytes) {
    const auto decoded =
        decode(std::make_unique<MemorySource>(stream_of(index).packed), with_index(placed(index)));
    try {
        auto end = std::min<uint64_t>(decoded.plain->size(), plain().size());
        EXPECT_TRUE(bytes == Sound::maybe_not || decoded.plain->size() == plain().size());
        while (end > 0) {
            Bytes out(std::min<uint64_t>(end, kHashedPiece));
            end -= out.size();
            decoded.plain->read(end, out);
            EXPECT_TRUE(bytes == Sound::maybe_not ||
                        std::ranges::equal(out, ConstByteSpan(plain()).subspan(end, out.size())));
        }
    } catch (const std::system_error& error) {
        EXPECT_EQ(errno_of(error), EUCLEAN) << message_of(error);
    }
}

}  // namespace

void run_index(std::string_view /*target*/, ConstByteSpan index) {
    expect_reads_end(index, Sound::yes);
    const auto forged = mended(Bytes(index.begin(), index.end()));
    expect_invariants(forged);
    expect_reads_end(forged, Sound::maybe_not);
}

std::vector<Bytes> index_seeds(std::string_view /*target*/) {
    std::vector<Bytes> seeds;
    for (const auto& stream : streams()) {
        const auto path = placed({});
        decode(std::make_unique<MemorySource>(stream.packed), with_index(path)).plain->size();
        seeds.push_back(read_file(path, kMiB));
    }
    return seeds;
}

}  // namespace imgfs
