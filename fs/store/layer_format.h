// The structures of a layer file as bytes and as values. Layout and rules: FORMAT.md.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "fs/base/bytes.h"
#include "fs/base/checksum.h"
#include "fs/store/block.h"

namespace imgfs {

constexpr uint64_t kLogStart = 8192;  ///< two copies of the header come before
constexpr uint64_t kHeaderSize = 4096;
constexpr uint64_t kCommitSize = 4096;
constexpr uint64_t kRecordHeaderSize = 64;
constexpr uint64_t kHashSize = 8;
constexpr uint64_t kMaxDataBlocks = 64;           ///< of one data record
constexpr uint64_t kMaxZeroBlocks = 1ULL << 31U;  ///< of one zero record
constexpr uint64_t kMaxDeviceSize = 1ULL << 62U;

using Uuid = std::array<std::byte, 16>;

struct LayerHeader {
    uint64_t generation = 0;  ///< of the two copies the valid one with the higher number counts
    uint64_t device_size = 0;
    Uuid uuid{};
    Uuid parent{};  ///< zero: the image itself
    Hash128 identity{};
    uint64_t salt = 0;
    int64_t created_ns = 0;          ///< since 1970, UTC
    uint64_t clean_end = kLogStart;  ///< the log reached at least here (a clean close saw it)
    uint64_t clean_transaction = 0;
    uint32_t incompat = 0;   ///< flags of features that a reader must know: kPackedRecords
    uint32_t ro_compat = 0;  ///< flags of features that only a writer must know
};

/// Incompat flag: data records may be packed.
constexpr uint32_t kPackedRecords = 1;

using HeaderBytes = std::array<std::byte, kHeaderSize>;

HeaderBytes encode(const LayerHeader& header);

/// Nothing if the copy is damaged; ENOTSUP, naming them, for features that this version must not
/// ignore.
std::optional<LayerHeader> decode_header(ConstByteSpan bytes, const std::string& file);

enum class RecordType : uint8_t { data = 1, zeros = 2, commit = 3 };

/// How a data record's blocks are stored.
enum class RecordCodec : uint8_t { raw = 0, zstd = 1 };

struct RecordHeader {
    RecordType type = RecordType::data;
    RecordCodec codec = RecordCodec::raw;
    uint64_t salt = 0;
    uint64_t transaction = 0;
    uint64_t first_block = 0;
    uint32_t block_count = 0;
    uint32_t stored_length = 0;  ///< bytes behind the header
    uint64_t payload_hash = 0;   ///< data: of the table of hashes; commit: of what follows
};

using RecordBytes = std::array<std::byte, kRecordHeaderSize>;

RecordBytes encode(const RecordHeader& header);

/// Nothing unless magic, checksum, type and all lengths are right.
std::optional<RecordHeader> decode_record(ConstByteSpan bytes);

struct Commit {
    uint64_t salt = 0;
    uint64_t transaction = 0;
    uint64_t offset = 0;  ///< of the first copy
    uint64_t begin = 0;   ///< where the transaction's first record stands
    uint64_t records = 0;
    uint64_t chain = 0;  ///< continue_chain() over all record headers, from the commit before
    uint64_t device_size = 0;
    int64_t time_ns = 0;  ///< since 1970, UTC

    uint64_t end() const { return offset + 2 * kCommitSize; }

    /// Equal but for the time.
    bool is_for(const Commit& expected) const;
};

using CommitBytes = std::array<std::byte, kCommitSize>;

CommitBytes encode(const Commit& commit);
std::optional<Commit> decode_commit(ConstByteSpan bytes);

/// Binds a record to all that stand before it.
uint64_t continue_chain(uint64_t chain, ConstByteSpan record_header);

/// What a data record of `blocks` blocks takes behind its header: the table of hashes, the data;
/// less if it is packed.
constexpr uint64_t data_payload(uint64_t blocks) {
    return blocks * (kHashSize + kBlockSize);
}

}  // namespace imgfs
