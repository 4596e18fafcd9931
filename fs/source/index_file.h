// IndexFile: the seek index on disk. Format: INDEX.md.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "fs/base/checksum.h"
#include "fs/base/fd.h"
#include "fs/source/codec.h"

namespace imgfs {

/// What an index must be of to be of use.
struct IndexIdentity {
    uint32_t codec = 0;
    uint64_t packed_size = 0;
    Bytes packed;        ///< of the packed files: sizes, times …
    bool dense = false;  ///< wanted; one that is denser than wanted is good, too
    /// May pieces lack their hashes, since every Decoder checks the stream's own checksums?
    bool skips = true;
};

/// A range of plain bytes, where to start decoding for it, and what they hash to.
struct IndexRecord {
    SeekPoint point;     ///< its plain offset is at or before `begin`
    uint64_t begin = 0;  ///< a multiple of kHashedPiece
    uint64_t end = 0;    ///< that too, or the stream's end
    /// XXH3-64 of each piece, or kNoHash where every Decoder checks the stream's own checksums;
    /// empty where that goes for all.
    std::vector<uint64_t> hashes;
    bool unchecked = false;  ///< the stream has no checksum over some of the range
};

constexpr uint64_t kNoHash = 0;

constexpr uint64_t piece_count(uint64_t length) {
    return (length + kHashedPiece - 1) / kHashedPiece;
}

/// Has it a hash for each of its pieces?
bool is_hashed(const IndexRecord& record);

/// XXH3-128 of all hashes in order; zero if there isn't one for each piece.
class ContentDigest {
  public:
    void add(const IndexRecord& record);
    Hash128 digest() const { return whole_ ? hashes_.digest() : Hash128{}; }

  private:
    Xxh128 hashes_;
    bool whole_ = true;
};

/// What is kept of a record in memory.
struct IndexEntry {
    uint64_t begin = 0;
    uint64_t packed_bit = 0;  ///< of its point
    uint64_t offset = 0;      ///< of the record in the file
    bool unchecked = false;   ///< as the record says
    bool operator==(const IndexEntry&) const = default;
};

/// Stands behind the last record of a complete index.
struct IndexEnd {
    uint64_t plain_size = 0;
    Hash128 content{};  ///< see ContentDigest
    std::vector<IndexEntry> entries;
    bool operator==(const IndexEnd&) const = default;
};

enum class IndexHeader { good, too_short, damaged, other_version, other_files, less_dense };

/// Does a record without all its hashes count as a whole and sound one?
enum class Hashes { needed, may_lack };

/// Reading is safe from any thread; one thread appends.
class IndexFile {
  public:
    IndexFile(Fd fd, std::string name, Hashes hashes = Hashes::may_lack)
        : fd_(std::move(fd)), name_(std::move(name)), hashes_(hashes) {}

    const std::string& name() const { return name_; }
    uint64_t size() const;

    /// too_short: its builder hasn't come that far.
    IndexHeader check_header(const IndexIdentity& identity) const;
    void write_header(const IndexIdentity& identity);
    /// By its header, which is good.
    bool is_dense() const;

    /// Of a complete and sound index; its records are looked at when they are read.
    std::optional<IndexEnd> read_end() const;

    struct Read {
        IndexRecord record;
        uint64_t next = 0;  ///< offset behind it
    };
    /// Nothing if what stands there is no whole and sound record.
    std::optional<Read> read_record(uint64_t offset) const;

    /// Puts it at the offset; returns the offset behind it.
    uint64_t append(uint64_t offset, const IndexRecord& record);
    uint64_t append(uint64_t offset, const IndexEnd& end);
    /// Takes the bytes from the header's end up to `end` from another.
    void copy_records(const IndexFile& from, uint64_t end);
    void truncate(uint64_t size);
    /// Durable from here on.
    void sync();

    /// Takes the builder's lock, until unlock() or the file's end; false if somebody else has it.
    bool try_lock() const;
    void unlock();
    /// Removes it from where it was opened, unless something else stands there now or somebody has
    /// the lock, who may be about to replace it. Was it removed?
    bool remove() const;
    /// Is this what stands at the path, still?
    bool is_at(const std::filesystem::path& path) const;

    static constexpr uint64_t kHeaderSize = 80;
    /// Bytes of a segment's payload: a state of 96 MiB at most and hashes, or 7 million records.
    static constexpr uint64_t kLongestPayload = 160 * kMiB;

  private:
    struct Segment {
        Bytes payload;
        uint64_t next = 0;
    };
    std::optional<Segment> read_segment(uint64_t offset, uint32_t kind) const;
    uint64_t append_segment(uint64_t offset, uint32_t kind, ConstByteSpan payload);

    Fd fd_;
    std::string name_;
    Hashes hashes_;
};

}  // namespace imgfs
