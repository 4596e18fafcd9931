// DeltaStore: the changes made since the image, kept in one folder of layers. Format: FORMAT.md.
#pragma once

#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <vector>

#include "fs/base/checksum.h"
#include "fs/base/progress.h"
#include "fs/source/source.h"
#include "fs/store/block.h"
#include "fs/store/delta_folder.h"
#include "fs/store/delta_state.h"
#include "fs/store/layer_merge.h"
#include "fs/store/recovery_point.h"

namespace imgfs {

class Overlay;

struct DeltaOptions {
    std::filesystem::path folder;  ///< holds `layers`, `000001.layer` …; need not exist
    uint64_t device_size = 0;
    Hash128 identity{};  ///< of the image (promise 9); a delta of another one is refused (EUCLEAN)
    /// Promise 9, too: a hash of all its plain bytes, or zero while that isn't known. Asked when
    /// the store is opened and, for writing, before the first change; one that differs is refused
    /// then.
    std::function<Hash128()> content = {};
    DeltaAccess access = DeltaAccess::read_only;
    /// The state to open, see layers_at(); empty: with all changes. Only read-only.
    std::string at = {};
    /// Of the map of changes, so many pieces are kept in memory, 80 bytes each.
    uint64_t map_pieces = 256 * 1024;
    std::string use;  ///< what holds it, for whoever comes second: a mountpoint or a command
    OtherHosts other_hosts = OtherHosts::respected;
    FileWatcher* watcher = nullptr;  ///< for tests; must outlive the store
};

/// state(), read_only(), find(), read() and reserve_until() are safe from any thread; commit() is
/// for one thread at a time.
class DeltaStore {
  public:
    /// Opens at the last commit, or at the recovery point that is asked for; finding none, it is
    /// empty. Read-only writes nothing at all. For writing it takes the lock (EBUSY, naming the
    /// holder: user, host, pid, use, since when); the layer file is made by the first change, and
    /// named by the first commit. The lock is this process's: a daemon opens the store after it has
    /// forked.
    explicit DeltaStore(DeltaOptions options);
    DeltaStore(const DeltaStore&) = delete;
    DeltaStore& operator=(const DeltaStore&) = delete;

    /// Notes a clean close, gives back reserved space; leaves no trace if nothing was committed.
    ~DeltaStore();

    /// Another state, `at` as in DeltaOptions, beside this one. They share their layers, so that
    /// fifty cost little more than one. Only of a store opened read-only, which must outlive it.
    std::unique_ptr<DeltaStore> at(const std::string& point) const;

    DeltaState state() const;

    /// The oldest first; up to the one that was asked for.
    std::vector<RecoveryPoint> points() const;

    /// What rollbacks have set aside, what the last one did behind the others; without a name:
    /// changes that were no point.
    std::vector<RecoveryPoint> set_aside() const;
    uint64_t device_size() const { return options_.device_size; }

    /// As they are now; the last one may go on growing.
    LayerChain layers() const;

    /// Opened so, or stopped by a failed write: then why_read_only() says which.
    bool read_only() const;
    std::string why_read_only() const;

    /// What the last commit has of the blocks [first, end), in order and without gaps.
    std::vector<StoredPiece> find(uint64_t first, uint64_t end) const;

    /// The first block at or behind `first` that the delta has.
    std::optional<uint64_t> next(uint64_t first) const;

    /// Fills `out` from byte `offset` of the device; all of it lies in `piece`, which holds data.
    /// Damage is EUCLEAN, naming file and offset.
    void read(const StoredPiece& piece, uint64_t offset, ByteSpan out) const;

    /// Where the next commit's records will begin, and what a commit of these can take from there.
    uint64_t log_end() const { return log_end_; }
    static uint64_t space_for(uint64_t data_blocks, uint64_t zero_runs);

    /// Promise 6: has the space for a log up to `end`, or throws ENOSPC and changes nothing.
    void reserve_until(uint64_t end);

    /// All of `changes` is durable when it returns. After it threw, nothing is written any more
    /// (EROFS) until the store is opened again; find() and read() still show the commit before.
    void commit(const Overlay& changes);

    /// What seal() does first; it may be called before, when others need not wait yet. Not while
    /// another thread is in commit().
    void write_whole_map();

    /// Makes the last commit a recovery point: what is changed after it goes into a new layer,
    /// which has the space for a log up to `space`. Durable when it returns. ENOSPC, EINVAL or
    /// EEXIST have changed nothing. Not while another thread is in commit() or reserve_until().
    void seal(const NewPoint& point, uint64_t space = kLogStart);

    /// Sets all that came after the state `at` (see layers_at()) aside, points and changes, or puts
    /// back what the last roll_back() set aside. Durable when it returns; nothing else is to be
    /// done with the store then but to close it. Not after commit().
    void roll_back(const std::string& at);
    void undo_rollback();

    /// Neighbouring points' layers [first, end) become one, and all of these but the last one's
    /// points go: begin, LayerMerge::run(), finish. If run() fails: drop. Reading goes on
    /// meanwhile, and between these calls all else.
    LayerMerge begin_merge(size_t first, size_t end);
    void finish_merge(const LayerMerge& merge);
    void drop_merge() { folder_.remove_gone(); }

    /// A point's layer and what `layers` says of it, as an archive has it; see PointArchive. EINVAL
    /// for base, ENOENT if there is no such point.
    struct Exported {
        LayerList list;
        std::shared_ptr<const Layer> layer;
    };
    Exported exported(const std::string& point) const;

    /// Makes the point that the archive holds the newest one here; durable when it returns. EINVAL
    /// if it was made of another image, or over another state than is here; EEXIST if it, or one of
    /// its name, is here. Not after commit().
    RecoveryPoint import_point(const Source& file, const Progress& progress);

    /// What was set aside goes for good.
    void remove_aside();

    /// After seal(): begins to merge the last point's layer with itself, if most of what was
    /// written to it has been overwritten.
    std::optional<LayerMerge> begin_compaction();

  private:
    DeltaStore(const DeltaStore& whole, const std::string& at);
    LayerContext context();
    void open_layers();
    void open_listed();
    std::shared_ptr<Layer> make_layer();
    std::filesystem::path announce_layer();
    void list_as_point(const Layer& layer, const NewPoint& point);
    void take_sealed(Layer& layer, const std::shared_ptr<Layer>& next);
    std::shared_ptr<Layer> make_next_layer(uint64_t space);
    void publish_layer();
    void bind_content();
    [[noreturn]] void fail_foreign() const;
    void check_content(const Hash128& content) const;
    void remove_unused(const std::filesystem::path& layer);
    bool is_listed() const { return folder_.list().layers.size() == layers_.size(); }
    void write_map(Layer& layer, Layer::MapPart part);
    Layer& layer_for_writing();
    void change_history(const std::function<void(LayerList&)>& change);
    [[noreturn]] void fail_full(const std::system_error& error);
    void set_full(std::optional<DeltaState::Time> since);
    void stop_writing(const std::string& reason);
    void note_commit();
    void close();

    const DeltaOptions options_;
    UnpackedRecords unpacked_;
    DeltaFolder folder_;
    std::atomic<uint64_t> log_end_;

    mutable std::shared_mutex mutex_;
    bool bound_ = false;  // to the image's content, as far as that is known
    LayerChain layers_;   // as listed up to what was asked for, and behind them the open layer
    std::shared_ptr<Layer> open_;  // the one that takes changes, if there is one
    DeltaState state_;
    std::string stopped_by_;  // the failure after which nothing is written
};

}  // namespace imgfs
