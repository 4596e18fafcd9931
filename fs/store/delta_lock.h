// DeltaLock: one writer for a delta, and who it is.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "fs/base/fd.h"

namespace imgfs {

/// Holds the file `lock` of a delta's folder. Ends with the process, however that ends.
class DeltaLock {
  public:
    /// Makes the folder if it isn't there. EBUSY names the holder; EROFS and EACCES say that no
    /// delta can be written here.
    DeltaLock(const std::filesystem::path& folder, const std::string& use);
    DeltaLock(const DeltaLock&) = delete;
    DeltaLock& operator=(const DeltaLock&) = delete;
    ~DeltaLock();

    /// Folders that were made for it, outermost first.
    const std::vector<std::filesystem::path>& made_folders() const { return made_; }

    /// There is nothing in the folder to lock: the lock and what was made for it go again.
    void leave_nothing();

  private:
    void make_folders(const std::filesystem::path& folder);
    bool take();
    void write_holder(const std::string& use);

    const std::filesystem::path path_;
    std::vector<std::filesystem::path> made_;
    Fd fd_;
};

}  // namespace imgfs
