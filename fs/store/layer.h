// Layer: one file of changed blocks, holding many commits.
#pragma once

#include <atomic>
#include <mutex>
#include <optional>

#include "fs/store/layer_map.h"
#include "fs/store/log_position.h"
#include "fs/store/overlay.h"
#include "fs/store/unpacked_records.h"

namespace imgfs {

/// What all layers of a delta share.
struct LayerContext {
    FileWatcher* watcher = nullptr;  ///< for tests
    UnpackedRecords* unpacked = nullptr;
    uint64_t map_pieces = 0;  ///< of what commits have added, so many are kept in memory
};

/// read() and reserve_until() are safe from any thread; map() is guarded by its owner against what
/// changes it; all else is for one thread at a time.
class Layer {
  public:
    /// Writes the header of a new file; not durable before the first commit.
    Layer(const std::filesystem::path& path, const LayerHeader& header,
          const LayerContext& context);

    /// Opens at the last commit. A writable one is mended where a crash left it half-written, so
    /// that whatever it shows is durable.
    Layer(const std::filesystem::path& path, bool writable, const LayerContext& context);

    const LayerHeader& header() const { return header_; }
    const LogPosition& position() const { return position_; }
    std::string name() const { return file_.name(); }
    const std::filesystem::path& path() const { return file_.path(); }

    /// Fills `out` with the blocks of a data piece, checked.
    void read(const StoredPiece& piece, ByteSpan out) const;

    /// Walks the log from its start up to position(), past all maps, and calls `visit` for what
    /// each record holds. EUCLEAN where it is no longer what it was. Not while another thread
    /// commits.
    void visit_records(const std::function<void(const StoredPiece&)>& visit) const;

    /// Bytes of its file, in which the log ends at position().
    void read_as_it_stands(uint64_t offset, ByteSpan out) const;

    /// Gets the space for a log up to `end`, or fails with ENOSPC.
    void reserve_until(uint64_t end);

    /// Makes the changes durable as one commit. `publish` runs before there is a commit and after
    /// its records are durable. Returns what is to be added to the map.
    std::vector<StoredPiece> commit(const Overlay& changes, const std::function<void()>& publish);

    const LayerMap& map() const { return map_; }
    void add_to_map(const std::vector<StoredPiece>& pieces);

    /// Has the map grown so that write_map() is due?
    bool map_is_due() const;
    enum class MapPart { recent, all };
    /// Writes what of the map is in memory, or all of it, to a file. The map itself isn't changed
    /// before use_map().
    struct NewMap {
        size_t kept;
        MapFile file;
    };
    NewMap write_map(MapPart part) const;
    /// Gives the files that are no longer used, to be removed.
    std::vector<std::filesystem::path> use_map(NewMap map);

    /// Gives back the space that was reserved, and notes where the log ends.
    void close_clean();

    /// As close_clean(), durable also of a layer without a commit.
    void end_log();

    /// Once nobody must open it for writing any more, after a crash neither.
    void make_read_only() { file_.make_read_only(); }

    /// Of a sealed layer: is most of what was written overwritten by what came later?
    bool is_mostly_dead() const;

  private:
    struct Record;
    Record read_record(const StoredPiece& piece) const;
    void read_blocks(const Record& record, const StoredPiece& piece, ByteSpan out) const;
    UnpackedRecords::Blocks unpack(const Record& record, uint64_t offset) const;
    void read_header();
    LogPosition read_maps();
    void mend(const std::vector<uint64_t>& bad_copies);
    void write_header_copy(uint64_t offset);
    [[noreturn]] void fail_damaged(uint64_t offset) const;

    const LayerContext context_;
    const bool writable_;
    LayerFile file_;
    LayerHeader header_;
    LogPosition position_;
    LayerMap map_;

    std::mutex space_mutex_;
    std::atomic<uint64_t> reserved_end_;  // grows with space_mutex_ held
};

}  // namespace imgfs
