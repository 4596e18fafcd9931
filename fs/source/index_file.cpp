#include "fs/source/index_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "fs/base/error.h"

namespace imgfs {
namespace {

constexpr std::string_view kMagic = "imgfs-seek-index";
constexpr uint32_t kVersion = 3;
constexpr uint32_t kDense = 1;
constexpr size_t kDensityField = 56;
constexpr uint64_t kUnchecked = 1;              // in `begin`, a multiple of 65,536
constexpr uint32_t kSegmentMagic = 0x4d474553;  // SEGM
constexpr size_t kSegmentHead = 32;
constexpr size_t kRecordFields = 40;
constexpr size_t kEndFields = 32;
constexpr size_t kEntrySize = 24;
constexpr size_t kTrailer = 16;
constexpr uint64_t kTrailerMagic = 0x444e4558454b4553;  // SEKEXEND

enum Kind : uint32_t { kRecord = 1, kEnd = 2 };

Bytes header(const IndexIdentity& identity) {
    Bytes bytes(IndexFile::kHeaderSize);
    std::memcpy(bytes.data(), kMagic.data(), kMagic.size());
    store(bytes, 16, kVersion);
    store(bytes, 24, identity.codec);
    store(bytes, 28, static_cast<uint32_t>(kHashedPiece));
    store(bytes, 32, identity.packed_size);
    const auto hash = xxh3_128(identity.packed);
    std::memcpy(bytes.data() + 40, hash.data(), hash.size());
    store(bytes, kDensityField, identity.dense ? kDense : 0);
    store(bytes, 72, xxh3_64(ConstByteSpan(bytes).first(72)));
    return bytes;
}

/// Of a record or an entry.
uint64_t begin_field(const auto& range) {
    return range.begin | (range.unchecked ? kUnchecked : 0);
}

void append_bytes(Bytes& to, ConstByteSpan bytes) {
    to.insert(to.end(), bytes.begin(), bytes.end());
}

bool begins_with_magic(ConstByteSpan header) {
    return text_of(header).starts_with(kMagic);
}

/// Do the fields of a record agree with each other (invariants 3 and 4)?
bool is_possible(const IndexRecord& record) {
    return record.begin <= record.end && record.begin % kHashedPiece == 0 &&
           record.end < UINT64_MAX - kHashedPiece && record.point.plain <= record.begin &&
           (record.hashes.empty() ||
            record.hashes.size() == piece_count(record.end - record.begin));
}

std::optional<IndexRecord> parse_record(ConstByteSpan payload) {
    if (payload.size() < kRecordFields) {
        return std::nullopt;
    }
    IndexRecord record{.point = {.plain = le64(payload, 0), .packed_bit = le64(payload, 8)},
                       .begin = le64(payload, 16) & ~kUnchecked,
                       .end = le64(payload, 24),
                       .hashes = {},
                       .unchecked = (le64(payload, 16) & kUnchecked) != 0};
    const auto count = le64(payload, 32);
    const auto rest = payload.subspan(kRecordFields);
    if (count > rest.size() / 8) {
        return std::nullopt;
    }
    record.hashes.resize(count);
    std::ranges::copy(rest.first(count * 8),
                      std::as_writable_bytes(std::span(record.hashes)).begin());
    const auto state = rest.subspan(count * 8);
    record.point.state.assign(state.begin(), state.end());
    return is_possible(record) ? std::optional(std::move(record)) : std::nullopt;
}

/// Ascending without gaps from 0, as far as entries can tell (invariant 5).
bool is_possible(const IndexEnd& end) {
    if (end.entries.empty() || end.entries.front().begin != 0 ||
        end.plain_size >= UINT64_MAX - kHashedPiece || end.entries.back().begin > end.plain_size) {
        return false;
    }
    return std::ranges::adjacent_find(end.entries, [](const auto& one, const auto& next) {
               return next.begin <= one.begin || next.begin % kHashedPiece != 0 ||
                      next.offset <= one.offset || next.packed_bit < one.packed_bit;
           }) == end.entries.end();
}

std::optional<IndexEnd> parse_end(ConstByteSpan payload) {
    if (payload.size() < kEndFields || le64(payload, 8) > payload.size() / kEntrySize ||
        payload.size() != kEndFields + le64(payload, 8) * kEntrySize) {
        return std::nullopt;
    }
    IndexEnd end{.plain_size = le64(payload, 0), .content = {}, .entries = {}};
    std::ranges::copy(payload.subspan(16, end.content.size()), end.content.begin());
    end.entries.resize(le64(payload, 8));
    for (size_t i = 0; i < end.entries.size(); ++i) {
        const auto at = kEndFields + i * kEntrySize;
        end.entries[i] = {.begin = le64(payload, at) & ~kUnchecked,
                          .packed_bit = le64(payload, at + 8),
                          .offset = le64(payload, at + 16),
                          .unchecked = (le64(payload, at) & kUnchecked) != 0};
    }
    return is_possible(end) ? std::optional(std::move(end)) : std::nullopt;
}

}  // namespace

bool is_hashed(const IndexRecord& record) {
    return record.hashes.size() == piece_count(record.end - record.begin) &&
           std::ranges::find(record.hashes, kNoHash) == record.hashes.end();
}

void ContentDigest::add(const IndexRecord& record) {
    whole_ = whole_ && is_hashed(record);
    hashes_.update(std::as_bytes(std::span(record.hashes)));
}

uint64_t IndexFile::size() const {
    struct stat status {};
    if (::fstat(fd_.get(), &status) != 0) {
        fail_errno(name_);
    }
    return static_cast<uint64_t>(status.st_size);
}

IndexHeader IndexFile::check_header(const IndexIdentity& identity) const {
    Bytes found(kHeaderSize);
    if (read_some(fd_.get(), 0, found, name_) < found.size()) {
        return IndexHeader::too_short;
    }
    const bool known = begins_with_magic(found);
    if (known && (le32(found, 16) != kVersion || le32(found, 20) != 0)) {
        return IndexHeader::other_version;
    }
    if (!known || le64(found, 72) != xxh3_64(ConstByteSpan(found).first(72))) {
        return IndexHeader::damaged;
    }
    auto dense = identity;
    dense.dense = true;
    auto ordinary = identity;
    ordinary.dense = false;
    if (found == header(dense)) {
        return IndexHeader::good;
    }
    if (found != header(ordinary)) {
        return IndexHeader::other_files;
    }
    return identity.dense ? IndexHeader::less_dense : IndexHeader::good;
}

void IndexFile::write_header(const IndexIdentity& identity) {
    write_exactly(fd_.get(), 0, header(identity), name_);
}

bool IndexFile::is_dense() const {
    Bytes found(kHeaderSize);
    read_some(fd_.get(), 0, found, name_);
    return le32(found, kDensityField) != 0;
}

std::optional<IndexFile::Segment> IndexFile::read_segment(uint64_t offset, uint32_t kind) const {
    Bytes head(kSegmentHead);
    if (read_some(fd_.get(), offset, head, name_) < head.size() || le32(head, 0) != kSegmentMagic ||
        le32(head, 4) != kind || le64(head, 24) != xxh3_64(ConstByteSpan(head).first(24))) {
        return std::nullopt;
    }
    const auto length = le64(head, 8);
    if (const auto end = size(); end < offset + kSegmentHead ||
                                 length > end - offset - kSegmentHead || length > kLongestPayload) {
        return std::nullopt;
    }
    Segment segment{.payload = Bytes(length), .next = offset + kSegmentHead + length};
    if (read_some(fd_.get(), offset + kSegmentHead, segment.payload, name_) < length ||
        le64(head, 16) != xxh3_64(segment.payload)) {
        return std::nullopt;
    }
    return segment;
}

std::optional<IndexFile::Read> IndexFile::read_record(uint64_t offset) const {
    const auto segment = read_segment(offset, kRecord);
    auto record = segment ? parse_record(segment->payload) : std::nullopt;
    if (!record || (hashes_ == Hashes::needed && !is_hashed(*record))) {
        return std::nullopt;
    }
    return Read{std::move(*record), segment->next};
}

std::optional<IndexEnd> IndexFile::read_end() const {
    const auto end = size();
    Bytes trailer(kTrailer);
    if (end < kHeaderSize + kTrailer ||
        read_some(fd_.get(), end - kTrailer, trailer, name_) < trailer.size() ||
        le64(trailer, 8) != kTrailerMagic || le64(trailer, 0) > end) {
        return std::nullopt;
    }
    const auto segment = read_segment(le64(trailer, 0), kEnd);
    return segment && segment->next == end - kTrailer ? parse_end(segment->payload) : std::nullopt;
}

uint64_t IndexFile::append_segment(uint64_t offset, uint32_t kind, ConstByteSpan payload) {
    if (payload.size() > kLongestPayload) {
        fail(EFBIG, name_ + ": the image is larger than a seek index can describe");
    }
    Bytes segment(kSegmentHead);
    store(segment, 0, kSegmentMagic);
    store(segment, 4, kind);
    store(segment, 8, static_cast<uint64_t>(payload.size()));
    store(segment, 16, xxh3_64(payload));
    store(segment, 24, xxh3_64(ConstByteSpan(segment).first(24)));
    append_bytes(segment, payload);
    write_exactly(fd_.get(), offset, segment, name_);
    return offset + segment.size();
}

uint64_t IndexFile::append(uint64_t offset, const IndexRecord& record) {
    Bytes payload(kRecordFields);
    store(payload, 0, record.point.plain);
    store(payload, 8, record.point.packed_bit);
    store(payload, 16, begin_field(record));
    store(payload, 24, record.end);
    store(payload, 32, static_cast<uint64_t>(record.hashes.size()));
    append_bytes(payload, std::as_bytes(std::span(record.hashes)));
    append_bytes(payload, record.point.state);
    return append_segment(offset, kRecord, payload);
}

uint64_t IndexFile::append(uint64_t offset, const IndexEnd& end) {
    Bytes payload(kEndFields + end.entries.size() * kEntrySize);
    store(payload, 0, end.plain_size);
    store(payload, 8, static_cast<uint64_t>(end.entries.size()));
    std::ranges::copy(end.content, payload.begin() + 16);
    for (size_t i = 0; i < end.entries.size(); ++i) {
        const auto at = kEndFields + i * kEntrySize;
        store(payload, at, begin_field(end.entries[i]));
        store(payload, at + 8, end.entries[i].packed_bit);
        store(payload, at + 16, end.entries[i].offset);
    }
    const auto behind = append_segment(offset, kEnd, payload);
    Bytes trailer(kTrailer);
    store(trailer, 0, offset);
    store(trailer, 8, kTrailerMagic);
    write_exactly(fd_.get(), behind, trailer, name_);
    return behind + trailer.size();
}

void IndexFile::copy_records(const IndexFile& from, uint64_t end) {
    Bytes piece(kMiB);
    for (auto at = kHeaderSize; at < end; at += piece.size()) {
        const auto part = ByteSpan(piece).first(std::min<uint64_t>(piece.size(), end - at));
        write_exactly(fd_.get(), at, part.first(read_some(from.fd_.get(), at, part, from.name_)),
                      name_);
    }
}

void IndexFile::truncate(uint64_t size) {
    if (::ftruncate(fd_.get(), static_cast<off_t>(size)) != 0) {
        fail_errno(name_);
    }
}

void IndexFile::sync() {
    if (::fdatasync(fd_.get()) != 0) {
        fail_errno(name_ + ": fsync");
    }
}

bool IndexFile::try_lock() const {
    if (::flock(fd_.get(), LOCK_EX | LOCK_NB) == 0) {
        return true;
    }
    if (errno != EWOULDBLOCK && errno != EINTR) {
        fail_errno(name_ + ": lock");
    }
    return false;
}

void IndexFile::unlock() {
    ::flock(fd_.get(), LOCK_UN);
}

bool IndexFile::remove() const {
    return try_lock() && is_at(name_) && ::unlink(name_.c_str()) == 0;
}

bool IndexFile::is_at(const std::filesystem::path& path) const {
    struct stat here {};
    struct stat there {};
    return ::fstat(fd_.get(), &here) == 0 && ::lstat(path.c_str(), &there) == 0 &&
           here.st_ino == there.st_ino && here.st_dev == there.st_dev;
}

}  // namespace imgfs
