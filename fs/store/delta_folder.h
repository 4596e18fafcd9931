// DeltaFolder: the files of a delta, and the list `layers` that says what they are.
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>

#include "fs/store/delta_lock.h"
#include "fs/store/layer_file.h"
#include "fs/store/layer_list.h"

namespace imgfs {

enum class DeltaAccess { read_only, read_write };

/// list() and next_layer() are safe from any thread; all else is for one thread at a time.
class DeltaFolder {
  public:
    /// Takes the lock for a writer, and reads the list; `fresh` is that of a folder that
    /// holds no delta. `watcher` must outlive it.
    struct Writer {
        std::string use;  ///< see DeltaLock
        OtherHosts other_hosts = OtherHosts::respected;
    };
    DeltaFolder(std::filesystem::path path, const std::optional<Writer>& writer,
                const LayerList& fresh, FileWatcher* watcher);
    /// For reading, with a list that was read before.
    DeltaFolder(std::filesystem::path path, LayerList list);
    DeltaFolder(const DeltaFolder&) = delete;
    DeltaFolder& operator=(const DeltaFolder&) = delete;
    ~DeltaFolder();

    const std::filesystem::path& path() const { return path_; }
    bool writable() const { return lock_ != nullptr; }
    /// ESTALE if another writer has taken the folder over.
    void check_lock() const { lock_->check(); }
    LayerList list() const;

    /// Has a writer replaced the list since it was read?
    bool read_list_again();

    /// EUCLEAN if a layer that the list doesn't name holds a commit (invariant 8 of FORMAT.md).
    void refuse_unlisted_layers() const;

    /// Durable when it returns. Of a list that names no layer, and never did, that is only noted.
    void replace_list(LayerList list);

    /// Where the next layer goes. What a crash has left there is removed. ESTALE as check_lock().
    std::filesystem::path next_layer();

    /// Takes the space that the list will need with a layer or a point more, and gives it back.
    void make_spare();
    void remove_spare();

    /// The names in it, and its own, are durable when it returns.
    void sync();

    /// Removes the files that the list names as gone, and their names from the list. What can't be
    /// removed now is the next writer's.
    void remove_gone();

    /// There is nothing that must stay: what was made for the lock goes again.
    void leave_nothing();

  private:
    Bytes read_list() const;
    std::filesystem::path list_path() const { return path_ / "layers"; }
    std::filesystem::path spare_path() const { return path_ / "layers.spare"; }

    const std::filesystem::path path_;
    FileWatcher* const watcher_;
    std::unique_ptr<DeltaLock> lock_;
    const LayerList fresh_;
    Bytes text_;  // of the list, as it was read

    mutable std::mutex mutex_;
    LayerList list_;
    uint64_t last_number_;  // of a layer
};

/// As access(2) tells; throws what keeps it from telling.
bool is_there(const std::filesystem::path& path);

}  // namespace imgfs
