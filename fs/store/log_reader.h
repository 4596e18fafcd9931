// LogReader: finds the last commit of a layer and what each block is at it.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "fs/store/block_index.h"
#include "fs/store/layer_file.h"
#include "fs/store/layer_format.h"

namespace imgfs {

/// A moment of the log: right behind a commit, or where it starts.
struct LogPosition {
    uint64_t end = kLogStart;
    uint64_t transaction = 0;
    uint64_t chain = 0;
    int64_t time_ns = 0;
};

/// The first commit record from byte `start` on (a multiple of 4 KiB) that is whole, stands where
/// it says it does, and pleases `wanted`.
std::optional<Commit> find_commit(const LayerFile& file, uint64_t start,
                                  const std::function<bool(const Commit&)>& wanted);

class LogReader {
  public:
    /// Both must outlive it; `index` gets what the commits hold.
    LogReader(const LayerFile& file, const LayerHeader& header, BlockIndex& index);

    /// Walks the record headers to the last commit. A tail without a commit is left out; a bad
    /// record before a commit is EUCLEAN.
    LogPosition read();

    /// Offsets of commit copies that are damaged while the other copy is good.
    const std::vector<uint64_t>& bad_copies() const { return bad_copies_; }

  private:
    bool read_transaction();
    std::optional<RecordHeader> record_at(uint64_t offset);
    bool take_commit(uint64_t offset, uint64_t records, uint64_t chain);
    std::optional<Commit> find_later_commit() const;
    [[noreturn]] void fail_damaged(const std::string& evidence) const;
    ConstByteSpan fetch(uint64_t offset);

    const LayerFile& file_;
    const LayerHeader& header_;
    BlockIndex& index_;
    LogPosition position_;
    uint64_t stopped_at_ = 0;           // where the record after the last good one should be
    std::vector<StoredPiece> pending_;  // of the transaction whose commit is not reached yet
    std::vector<uint64_t> bad_copies_;

    Bytes buffer_;
    uint64_t buffer_start_ = 0;
    size_t buffered_ = 0;
};

}  // namespace imgfs
