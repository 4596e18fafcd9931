// SeekIndex: what is known of a packed stream so far, and how readers wait for more.
#pragma once

#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <vector>

#include "fs/base/progress.h"
#include "fs/source/index_file.h"
#include "fs/source/vouched.h"

namespace imgfs {

/// Safe from any thread; one thread makes it grow. Records stay in the file: in memory there are 32
/// bytes for each.
class SeekIndex {
  public:
    /// Of a file that is complete, or that nothing is known of yet. `progress` is called now and
    /// then, with packed bytes, by whoever waits; one thread at a time.
    SeekIndex(IndexFile file, std::optional<IndexEnd> end, uint64_t packed_size,
              Progress progress = {});

    /// A record's range of plain bytes.
    struct Range {
        uint64_t begin = 0;
        uint64_t end = 0;
        uint64_t packed_bit = 0;  ///< of its point
        uint64_t offset = 0;      ///< of the record in the file; tells ranges apart
        uint64_t next_bit = 0;    ///< of the next point, or the stream's end; 0 if unknown
    };

    /// The range that holds plain byte `offset`. Waits until the pass has gone past it, or throws
    /// NotYet, or what ended the pass. Nothing if the stream turned out to end before it.
    std::optional<Range> at(uint64_t offset) const;
    /// The same if it is known now.
    std::optional<Range> known_at(uint64_t offset) const;

    /// Did the pass check all of [begin, end) against checksums of the stream?
    Vouched vouched(uint64_t begin, uint64_t end) const;

    /// EUCLEAN if the index file is damaged there; then it is removed, to be made again, unless
    /// another stands in its place or somebody is at work on it.
    IndexRecord load(const Range& range) const;

    /// Of the plain bytes. These two wait for the end of the pass, or throw as at().
    uint64_t size() const;
    Hash128 content() const;
    /// If the pass has ended.
    std::optional<uint64_t> known_size() const;

    /// Plain bytes from the start that can be read now, and packed bytes that the pass has read.
    uint64_t reached() const;
    uint64_t packed_done() const { return packed_done_; }
    uint64_t packed_size() const { return packed_size_; }

    /// What ended the pass before the stream's end, in one line; empty if nothing did.
    std::string failure() const;

    // For whoever makes it grow.
    IndexFile& file() { return file_; }
    const IndexFile& file() const { return file_; }
    uint64_t file_end() const;  ///< where the next record goes
    /// The next record, which stands at file_end(); `behind` is the offset behind it.
    void add(const IndexRecord& record, uint64_t behind);
    /// Of a complete index of the records that were added.
    IndexEnd end() const;
    void finish(const IndexEnd& end);
    void set_packed_done(uint64_t packed) { packed_done_ = packed; }
    /// Nothing more will come.
    void fail(std::exception_ptr why);

  private:
    bool is_over(uint64_t offset) const;
    template <typename Condition>
    void wait(std::unique_lock<std::mutex>& lock, Condition over) const;
    std::optional<Range> find(uint64_t offset) const;
    void tell_progress() const;

    IndexFile file_;
    const uint64_t packed_size_;
    const Progress progress_;
    mutable std::atomic<bool> removed_ = false;

    mutable std::mutex progress_mutex_;
    std::atomic<uint64_t> packed_done_ = 0;

    mutable std::mutex mutex_;
    mutable std::condition_variable grown_;
    std::vector<IndexEntry> entries_;
    ContentDigest digest_;  // of the records that were added
    uint64_t reached_ = 0;
    uint64_t file_end_ = IndexFile::kHeaderSize;
    std::optional<uint64_t> plain_size_;
    Hash128 content_{};
    std::exception_ptr failure_;
};

}  // namespace imgfs
