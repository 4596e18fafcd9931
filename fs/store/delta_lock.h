// DeltaLock: one writer for a delta, and who it is.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "fs/base/fd.h"

namespace imgfs {

/// Who holds a delta for writing, as the file `lock` in its folder says.
struct LockHolder {
    std::string user;
    std::string host;
    std::string pid;
    std::string use;  ///< a mountpoint, or a command
    std::chrono::system_clock::time_point since;

    bool is_on_this_host() const;
    /// Of this host: has its process ended?
    bool is_dead() const;
    /// "anna@nas2, pid 4711, /mnt, since 09:14".
    std::string text() const;
};

/// Nothing if nobody does, or nobody wrote down who.
std::optional<LockHolder> lock_holder(const std::filesystem::path& folder);

enum class OtherHosts {
    respected,  ///< a holder on another host can't be asked whether it lives: EBUSY
    overridden  ///< somebody has looked: --break-lock
};

/// Holds the file `lock` of a delta's folder. Ends with the process, however that ends.
class DeltaLock {
  public:
    /// Makes the folder if it isn't there. EBUSY names the holder; EROFS and EACCES say that no
    /// delta can be written here. Where files can't be locked, as in some network folders, the text
    /// of the lock alone keeps others out: two that come at once may both get it, see check().
    DeltaLock(const std::filesystem::path& folder, const std::string& use, OtherHosts others);
    DeltaLock(const DeltaLock&) = delete;
    DeltaLock& operator=(const DeltaLock&) = delete;
    ~DeltaLock();

    /// ESTALE, naming who, if somebody else has taken the delta over.
    void check() const;

    /// Folders that were made for it, outermost first.
    const std::vector<std::filesystem::path>& made_folders() const { return made_; }

    /// There is nothing in the folder to lock: the lock and what was made for it go again.
    void leave_nothing();

  private:
    void make_folders(const std::filesystem::path& folder);
    bool take(OtherHosts others);
    void write_holder(const std::string& use);
    bool is_ours() const;

    const std::filesystem::path path_;
    std::vector<std::filesystem::path> made_;
    Fd fd_;
    std::string text_;  // that we wrote; nothing if there was no space for it
};

}  // namespace imgfs
