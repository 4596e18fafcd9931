#include "fs/source/index_file.h"

#include <cerrno>
#include <cstring>
#include <string_view>

#include "fs/base/checksum.h"
#include "fs/base/error.h"
#include "fs/base/fd.h"
#include "fs/base/text.h"

namespace imgfs {
namespace {

constexpr std::string_view kMagic = "imgfs-seek-index";
constexpr uint32_t kVersion = 1;
constexpr uint32_t kGzip = 1;
constexpr size_t kHeaderSize = 80;
constexpr uint32_t kSegmentMagic = 0x4d474553;  // SEGM
constexpr size_t kSegmentHead = 32;
constexpr size_t kPointFields = 24;

enum class Kind : uint32_t { seek_point = 1, end = 2 };

void append(Bytes& file, ConstByteSpan bytes) {
    file.insert(file.end(), bytes.begin(), bytes.end());
}

Bytes header(uint64_t packed_size, ConstByteSpan identity) {
    Bytes bytes(kHeaderSize);
    std::memcpy(bytes.data(), kMagic.data(), kMagic.size());
    store(bytes, 16, kVersion);
    store(bytes, 24, kGzip);
    store(bytes, 28, static_cast<uint32_t>(kHashedPiece));
    store(bytes, 32, packed_size);
    const auto hash = xxh3_128(identity);
    std::memcpy(bytes.data() + 40, hash.data(), hash.size());
    store(bytes, 72, xxh3_64(ConstByteSpan(bytes).first(72)));
    return bytes;
}

void append_segment(Bytes& file, Kind kind, ConstByteSpan payload) {
    Bytes head(kSegmentHead);
    store(head, 0, kSegmentMagic);
    store(head, 4, static_cast<uint32_t>(kind));
    store(head, 8, static_cast<uint64_t>(payload.size()));
    store(head, 16, xxh3_64(payload));
    store(head, 24, xxh3_64(ConstByteSpan(head).first(24)));
    append(file, head);
    append(file, payload);
}

/// The first piece that begins at or after `plain`.
uint64_t first_piece(uint64_t plain) {
    return round_up(plain, kHashedPiece) / kHashedPiece;
}

Bytes point_payload(const GzipIndex& index, size_t number) {
    const auto& point = index.points[number];
    const auto begin = std::min<uint64_t>(first_piece(point.plain), index.hashes.size());
    const auto end =
        number + 1 < index.points.size()
            ? std::min<uint64_t>(first_piece(index.points[number + 1].plain), index.hashes.size())
            : index.hashes.size();
    Bytes payload(kPointFields);
    store(payload, 0, point.plain);
    store(payload, 8, point.packed_bit);
    store(payload, 16, end - begin);
    append(payload, std::as_bytes(std::span(index.hashes).subspan(begin, end - begin)));
    append(payload, point.history);
    return payload;
}

/// Walks the segments of an index file's bytes; every step checks before it believes.
class IndexReader {
  public:
    IndexReader(ConstByteSpan segments, uint64_t packed_size)
        : rest_(segments), packed_size_(packed_size) {}

    /// Empty if invariants 2 to 5 don't hold.
    std::optional<GzipIndex> read() {
        while (rest_.size() >= kSegmentHead) {
            const auto head = rest_.first(kSegmentHead);
            const auto length = le64(head, 8);
            if (le32(head, 0) != kSegmentMagic || le64(head, 24) != xxh3_64(head.first(24)) ||
                length > rest_.size() - kSegmentHead) {
                return std::nullopt;
            }
            const auto payload = rest_.subspan(kSegmentHead, length);
            rest_ = rest_.subspan(kSegmentHead + length);
            if (le64(head, 16) != xxh3_64(payload)) {
                return std::nullopt;
            }
            if (le32(head, 4) == static_cast<uint32_t>(Kind::end)) {
                return finish(payload);
            }
            if (le32(head, 4) != static_cast<uint32_t>(Kind::seek_point) || !add_point(payload)) {
                return std::nullopt;
            }
        }
        return std::nullopt;
    }

  private:
    bool add_point(ConstByteSpan payload) {
        if (payload.size() < kPointFields) {
            return false;
        }
        GzipSeekPoint point{le64(payload, 0), le64(payload, 8), {}};
        const auto count = le64(payload, 16);
        const auto rest = payload.subspan(kPointFields);
        if (count > rest.size() / 8 || point.packed_bit / 8 >= packed_size_ || !follows(point) ||
            index_.hashes.size() != first_piece(point.plain)) {
            return false;
        }
        for (uint64_t i = 0; i < count; ++i) {
            index_.hashes.push_back(le64(rest, i * 8));
        }
        const auto history = rest.subspan(count * 8);
        point.history.assign(history.begin(), history.end());
        index_.points.push_back(std::move(point));
        return true;
    }

    bool follows(const GzipSeekPoint& point) const {
        if (index_.points.empty()) {
            return point.plain == 0;
        }
        const auto& last = index_.points.back();
        return point.plain > last.plain && point.packed_bit > last.packed_bit;
    }

    std::optional<GzipIndex> finish(ConstByteSpan payload) {
        if (payload.size() != 8 || !rest_.empty() || index_.points.empty()) {
            return std::nullopt;
        }
        index_.plain_size = le64(payload, 0);
        if (index_.plain_size < index_.points.back().plain ||
            index_.plain_size > UINT64_MAX - kHashedPiece ||
            index_.hashes.size() != first_piece(index_.plain_size)) {
            return std::nullopt;
        }
        return std::move(index_);
    }

    ConstByteSpan rest_;
    uint64_t packed_size_;
    GzipIndex index_;
};

/// An index is about a hundredth of what it is for. One that is far larger is neither kept nor
/// read.
uint64_t largest_index(uint64_t packed_size) {
    return packed_size / 8 + 16 * kMiB;
}

}  // namespace

LoadedIndex load_index(const std::filesystem::path& path, uint64_t packed_size,
                       ConstByteSpan identity) {
    Bytes file;
    try {
        file = read_file(path, largest_index(packed_size));
    } catch (const std::system_error&) {
        return {};
    }
    const auto expected = header(packed_size, identity);
    if (file.size() < kHeaderSize || !std::equal(expected.begin(), expected.end(), file.begin())) {
        return {IndexState::stale, {}};
    }
    auto index = IndexReader(ConstByteSpan(file).subspan(kHeaderSize), packed_size).read();
    return index ? LoadedIndex{IndexState::good, std::move(*index)}
                 : LoadedIndex{IndexState::damaged, {}};
}

void save_index(const std::filesystem::path& path, uint64_t packed_size, ConstByteSpan identity,
                const GzipIndex& index) {
    auto file = header(packed_size, identity);
    for (size_t i = 0; i < index.points.size(); ++i) {
        append_segment(file, Kind::seek_point, point_payload(index, i));
    }
    Bytes size(8);
    store(size, 0, index.plain_size);
    append_segment(file, Kind::end, size);
    if (file.size() > largest_index(packed_size)) {
        fail(EFBIG, printable(path.string()) + ": would be larger than an index may be");
    }
    if (path.has_parent_path()) {
        std::filesystem::create_directories(path.parent_path());
    }
    replace_file(path, file);
}

}  // namespace imgfs
