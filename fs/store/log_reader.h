// LogReader: finds the last commit of a layer and what each block is at it.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "fs/store/layer_file.h"
#include "fs/store/log_position.h"
#include "fs/store/stored_piece.h"

namespace imgfs {

/// The first commit record from byte `start` on (a multiple of 4 KiB) that is whole, stands where
/// it says it does, and pleases `wanted`.
std::optional<Commit> find_commit(const LayerFile& file, uint64_t start,
                                  const std::function<bool(const Commit&)>& wanted);

/// Does a commit of that layer end there?
bool ends_commit(const LayerFile& file, const LayerHeader& header, const LogPosition& position);

class LogReader {
  public:
    /// Told of each commit: the position behind it, and what its records hold.
    using OnCommit = std::function<void(const LogPosition&, const std::vector<StoredPiece>&)>;

    /// All must outlive it.
    LogReader(const LayerFile& file, const LayerHeader& header, const LogPosition& from,
              OnCommit on_commit);

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
    const OnCommit on_commit_;
    LogPosition position_;
    uint64_t stopped_at_ = 0;           // where the record after the last good one should be
    std::vector<StoredPiece> pending_;  // of the transaction whose commit is not reached yet
    std::vector<uint64_t> bad_copies_;

    Bytes buffer_;
    uint64_t buffer_start_ = 0;
    size_t buffered_ = 0;
};

}  // namespace imgfs
