#include "fs/store/layer_format.h"

#include <algorithm>
#include <cerrno>

#include "fs/base/error.h"

namespace imgfs {
namespace {

constexpr std::string_view kMagic = "imgfslyr";
constexpr uint32_t kVersion = 1;
constexpr uint32_t kKnownIncompatible = kPackedRecords;
constexpr uint32_t kBlockBytes = 4096;
constexpr uint32_t kRecordMagic = 0x52676D69;  // "imgR"
constexpr size_t kHeaderChecksum = kHeaderSize - 8;
constexpr size_t kRecordChecksum = kRecordHeaderSize - 8;

template <size_t size>
void put_array(ByteSpan bytes, size_t offset, const std::array<std::byte, size>& value) {
    std::ranges::copy(value, bytes.subspan(offset, size).begin());
}

Uuid get_array(ConstByteSpan bytes, size_t offset) {
    Uuid value;
    std::ranges::copy(bytes.subspan(offset, value.size()), value.begin());
    return value;
}

void seal(ByteSpan bytes, size_t checksum_offset) {
    store(bytes, checksum_offset, xxh3_64(bytes.first(checksum_offset)));
}

bool is_sealed(ConstByteSpan bytes, size_t checksum_offset) {
    return le64(bytes, checksum_offset) == xxh3_64(bytes.first(checksum_offset));
}

bool has_right_data_length(const RecordHeader& record) {
    const auto raw = data_payload(record.block_count);
    switch (record.codec) {
        case RecordCodec::raw:
            return record.stored_length == raw;
        case RecordCodec::zstd:
            return record.stored_length > record.block_count * kHashSize &&
                   record.stored_length < raw;
    }
    return false;
}

bool has_right_lengths(const RecordHeader& record) {
    const bool raw = record.codec == RecordCodec::raw;
    switch (record.type) {
        case RecordType::data:
            return record.block_count >= 1 && record.block_count <= kMaxDataBlocks &&
                   has_right_data_length(record);
        case RecordType::zeros:
            return raw && record.block_count >= 1 && record.block_count <= kMaxZeroBlocks &&
                   record.stored_length == 0;
        case RecordType::commit:
            return raw && record.block_count == 0 &&
                   record.stored_length == kCommitSize - kRecordHeaderSize;
    }
    return false;
}

}  // namespace

HeaderBytes encode(const LayerHeader& header) {
    HeaderBytes bytes{};
    std::ranges::copy(bytes_of(kMagic), bytes.begin());
    store(bytes, 8, kVersion);
    store(bytes, 16, header.incompat);
    store(bytes, 20, header.ro_compat);
    store(bytes, 28, kBlockBytes);
    store(bytes, 32, header.device_size);
    store(bytes, 40, header.generation);
    put_array(bytes, 48, header.uuid);
    put_array(bytes, 64, header.parent);
    put_array(bytes, 80, header.identity);
    store(bytes, 96, header.salt);
    store(bytes, 104, header.created_ns);
    store(bytes, 112, header.clean_end);
    store(bytes, 120, header.clean_transaction);
    seal(bytes, kHeaderChecksum);
    return bytes;
}

std::optional<LayerHeader> decode_header(ConstByteSpan bytes, const std::string& file) {
    if (bytes.size() < kHeaderSize || text_of(bytes.first(8)) != kMagic ||
        !is_sealed(bytes.first(kHeaderSize), kHeaderChecksum)) {
        return std::nullopt;
    }
    if (le32(bytes, 8) != kVersion || le32(bytes, 28) != kBlockBytes) {
        fail(ENOTSUP, file + ": layer format " + std::to_string(le32(bytes, 8)) + ", blocks of " +
                          std::to_string(le32(bytes, 28)) +
                          " bytes: made by a newer imgfs, which can read it");
    }
    if ((le32(bytes, 16) & ~kKnownIncompatible) != 0) {
        fail(ENOTSUP, file + ": has features (incompat " + std::to_string(le32(bytes, 16)) +
                          ") that only a newer imgfs can read");
    }
    LayerHeader header;
    header.incompat = le32(bytes, 16);
    header.ro_compat = le32(bytes, 20);
    header.device_size = le64(bytes, 32);
    header.generation = le64(bytes, 40);
    header.uuid = get_array(bytes, 48);
    header.parent = get_array(bytes, 64);
    header.identity = get_array(bytes, 80);
    header.salt = le64(bytes, 96);
    header.created_ns = load<int64_t>(bytes, 104);
    header.clean_end = le64(bytes, 112);
    header.clean_transaction = le64(bytes, 120);
    return header;
}

RecordBytes encode(const RecordHeader& header) {
    RecordBytes bytes{};
    store(bytes, 0, kRecordMagic);
    store(bytes, 4, static_cast<uint8_t>(header.type));
    store(bytes, 5, static_cast<uint8_t>(header.codec));
    store(bytes, 8, header.salt);
    store(bytes, 16, header.transaction);
    store(bytes, 24, header.first_block);
    store(bytes, 32, header.block_count);
    store(bytes, 36, header.stored_length);
    store(bytes, 40, header.payload_hash);
    seal(bytes, kRecordChecksum);
    return bytes;
}

std::optional<RecordHeader> decode_record(ConstByteSpan bytes) {
    if (bytes.size() < kRecordHeaderSize || le32(bytes, 0) != kRecordMagic ||
        !is_sealed(bytes.first(kRecordHeaderSize), kRecordChecksum)) {
        return std::nullopt;
    }
    RecordHeader header;
    header.type = static_cast<RecordType>(bytes[4]);
    header.codec = static_cast<RecordCodec>(bytes[5]);
    header.salt = le64(bytes, 8);
    header.transaction = le64(bytes, 16);
    header.first_block = le64(bytes, 24);
    header.block_count = le32(bytes, 32);
    header.stored_length = le32(bytes, 36);
    header.payload_hash = le64(bytes, 40);
    if (le16(bytes, 6) != 0 || !has_right_lengths(header)) {
        return std::nullopt;
    }
    return header;
}

CommitBytes encode(const Commit& commit) {
    CommitBytes bytes{};
    store(bytes, 64, commit.offset);
    store(bytes, 72, commit.begin);
    store(bytes, 80, commit.records);
    store(bytes, 88, commit.chain);
    store(bytes, 96, commit.device_size);
    store(bytes, 104, commit.time_ns);
    const RecordHeader header{
        .type = RecordType::commit,
        .salt = commit.salt,
        .transaction = commit.transaction,
        .stored_length = kCommitSize - kRecordHeaderSize,
        .payload_hash = xxh3_64(ConstByteSpan(bytes).subspan(kRecordHeaderSize))};
    std::ranges::copy(encode(header), bytes.begin());
    return bytes;
}

std::optional<Commit> decode_commit(ConstByteSpan bytes) {
    const auto header = decode_record(bytes);
    if (!header || header->type != RecordType::commit || bytes.size() < kCommitSize ||
        header->payload_hash !=
            xxh3_64(bytes.subspan(kRecordHeaderSize, kCommitSize - kRecordHeaderSize))) {
        return std::nullopt;
    }
    return Commit{.salt = header->salt,
                  .transaction = header->transaction,
                  .offset = le64(bytes, 64),
                  .begin = le64(bytes, 72),
                  .records = le64(bytes, 80),
                  .chain = le64(bytes, 88),
                  .device_size = le64(bytes, 96),
                  .time_ns = load<int64_t>(bytes, 104)};
}

bool Commit::is_for(const Commit& expected) const {
    return salt == expected.salt && transaction == expected.transaction &&
           offset == expected.offset && begin == expected.begin && records == expected.records &&
           chain == expected.chain && device_size == expected.device_size;
}

uint64_t continue_chain(uint64_t chain, ConstByteSpan record_header) {
    std::array<std::byte, 8 + kRecordHeaderSize> bytes;
    store(ByteSpan(bytes), 0, chain);
    std::ranges::copy(record_header.first(kRecordHeaderSize), bytes.begin() + 8);
    return xxh3_64(bytes);
}

}  // namespace imgfs
