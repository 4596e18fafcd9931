// MapFile: where in a layer's log each block stands, as of one commit. Made from the log, and made
// again from it where it is lost. Format: FORMAT.md.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "fs/store/layer_file.h"
#include "fs/store/log_position.h"
#include "fs/store/region_filter.h"
#include "fs/store/stored_piece.h"

namespace imgfs {

/// Which part of a layer's log a map is of.
struct MapRange {
    uint64_t from = 0;  ///< number of the last transaction that it leaves out
    LogPosition to;     ///< right behind the last one that it has
};

/// Sorted pieces on disk; in memory 8 bytes for each 170 of them, and a filter of 256 KiB at most.
/// Safe from any thread.
class MapFile {
  public:
    /// Nothing if it isn't a whole and sound map of that layer. Reads all of it once.
    static std::optional<MapFile> open(const std::filesystem::path& path, const LayerHeader& layer);

    const MapRange& range() const { return range_; }
    uint64_t entries() const { return entries_; }
    uint64_t data_blocks() const { return data_blocks_; }
    const std::filesystem::path& path() const { return file_.path(); }

    /// Calls `visit` for what it has of the blocks [first, end), in order. EUCLEAN if the file has
    /// been damaged since it was opened.
    void visit(uint64_t first, uint64_t end,
               const std::function<void(const StoredPiece&)>& visit) const;

    /// The first block at or behind `first` that it has.
    std::optional<uint64_t> next(uint64_t first) const;

  private:
    friend class MapWriter;
    explicit MapFile(LayerFile file) : file_(std::move(file)) {}

    bool read_header(const LayerHeader& layer);
    bool read_top();
    bool check_pages();
    class Page;
    Page page(size_t number) const;
    size_t page_of(uint64_t block) const;

    LayerFile file_;
    MapRange range_;
    uint64_t entries_ = 0;
    uint64_t data_blocks_ = 0;  // that the entries are of
    uint64_t top_hash_ = 0;
    std::vector<uint64_t> top_;  // the first block of each page
    uint64_t device_blocks_ = 0;
    RegionFilter filter_;
};

/// Writes a new map; not complete, and no map, before finish().
class MapWriter {
  public:
    /// A file of that name is replaced.
    MapWriter(const std::filesystem::path& path, const LayerHeader& layer, FileWatcher* watcher);

    /// Pieces ascending, none absent.
    void put(const StoredPiece& piece);

    /// Durable when it returns.
    MapFile finish(const MapRange& range);

  private:
    void end_page();
    void write_buffer();

    const LayerHeader& layer_;
    MapFile map_;
    std::optional<StoredPiece> last_;  // it may go on
    Bytes page_;
    uint32_t in_page_ = 0;
    Bytes buffer_;
    uint64_t offset_;  // where the buffer goes
};

}  // namespace imgfs
