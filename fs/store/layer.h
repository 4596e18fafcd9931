// Layer: one file of changed blocks, holding many commits.
#pragma once

#include <atomic>
#include <mutex>
#include <optional>

#include "fs/store/log_reader.h"
#include "fs/store/overlay.h"

namespace imgfs {

/// read() and reserve_until() are safe from any thread; all else is for one thread at a time.
class Layer {
  public:
    /// Writes the header of a new file; not durable before the first commit.
    Layer(const std::filesystem::path& path, const LayerHeader& header, FileWatcher* watcher);

    /// Opens at the last commit and adds what the file holds to `index`. A writable one is mended
    /// where a crash left it half-written, so that whatever it shows is durable.
    Layer(const std::filesystem::path& path, bool writable, FileWatcher* watcher,
          BlockIndex& index);

    const LayerHeader& header() const { return header_; }
    const LogPosition& position() const { return position_; }
    std::string name() const { return file_.name(); }

    /// Fills `out` with the blocks of a data piece, checked.
    void read(const StoredPiece& piece, ByteSpan out) const;

    /// Gets the space for a log up to `end`, or fails with ENOSPC.
    void reserve_until(uint64_t end);

    /// Makes the changes durable as one commit. `publish` runs before there is a commit and after
    /// its records are durable. Returns what was added.
    std::vector<StoredPiece> commit(const Overlay& changes, const std::function<void()>& publish);

    /// Gives back the space that was reserved, and notes where the log ends.
    void close_clean();

  private:
    void read_header();
    void mend(const std::vector<uint64_t>& bad_copies);
    void write_header_copy(uint64_t offset);
    [[noreturn]] void fail_damaged(uint64_t offset) const;

    LayerFile file_;
    LayerHeader header_;
    LogPosition position_;

    std::mutex space_mutex_;
    std::atomic<uint64_t> reserved_end_;  // grows with space_mutex_ held
};

}  // namespace imgfs
