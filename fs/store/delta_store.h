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
#include "fs/store/block.h"
#include "fs/store/block_index.h"
#include "fs/store/layer_list.h"

namespace imgfs {

class DeltaLock;
class FileWatcher;
class Layer;
class Overlay;

enum class DeltaAccess { read_only, read_write };

struct DeltaOptions {
    std::filesystem::path folder;  ///< holds `layers`, `000001.layer` …; need not exist
    uint64_t device_size = 0;
    Hash128 identity{};  ///< of the image (promise 9); a delta of another one is refused (EUCLEAN)
    /// Promise 9, too: a hash of all its plain bytes, or zero while that isn't known. Asked when
    /// the store is opened and, for writing, before the first change; one that differs is refused
    /// then.
    std::function<Hash128()> content = {};
    DeltaAccess access = DeltaAccess::read_only;
    std::string use;  ///< what holds it, for whoever comes second: a mountpoint or a command
    FileWatcher* watcher = nullptr;  ///< for tests; must outlive the store
};

struct DeltaState {
    bool exists = false;  ///< false: the image as saved
    uint64_t commits = 0;
    uint64_t stored_bytes = 0;  ///< size of the layer files
    std::optional<std::chrono::system_clock::time_point> last_commit;
};

/// state(), read_only(), find(), read() and reserve_until() are safe from any thread; commit() is
/// for one thread at a time.
class DeltaStore {
  public:
    /// Opens at the last commit; finding none, it is empty. Read-only writes nothing at all. For
    /// writing it takes the lock (EBUSY, naming the holder: user, host, pid, use, since when); the
    /// layer file is made by the first change, and named by the first commit. The lock is this
    /// process's: a daemon opens the store after it has forked.
    explicit DeltaStore(DeltaOptions options);
    DeltaStore(const DeltaStore&) = delete;
    DeltaStore& operator=(const DeltaStore&) = delete;

    /// Notes a clean close, gives back reserved space; leaves no trace if nothing was committed.
    ~DeltaStore();

    DeltaState state() const;
    uint64_t device_size() const { return options_.device_size; }

    /// Opened so, or stopped by a failed write: then why_read_only() says which.
    bool read_only() const;
    std::string why_read_only() const;

    /// What the last commit has of the blocks [first, end), in order and without gaps.
    std::vector<StoredPiece> find(uint64_t first, uint64_t end) const;

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

  private:
    void open_layer();
    void create_layer();
    void publish_layer();
    void bind_content();
    [[noreturn]] void fail_foreign() const;
    void check_content(const Hash128& content) const;
    void refuse_unlisted_layer();
    void remove_unused();
    Layer& layer_for_writing();
    void stop_writing(const std::string& reason);
    void note_commit();
    void close();

    const DeltaOptions options_;
    std::unique_ptr<DeltaLock> lock_;
    std::atomic<uint64_t> log_end_;
    LayerList list_;       // `layers`, as it is or will be
    bool listed_ = false;  // `layers` names the layer

    mutable std::shared_mutex mutex_;
    bool bound_ = false;            // to the image's content, as far as that is known
    std::unique_ptr<Layer> layer_;  // set once; then safe to use by its own rules
    BlockIndex index_;
    DeltaState state_;
    std::string stopped_by_;  // the failure after which nothing is written
};

}  // namespace imgfs
