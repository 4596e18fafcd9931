// DeltaStore: the changes made since the image, kept in one folder of layers. Format: FORMAT.md.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>

#include "fs/base/checksum.h"

namespace imgfs {

constexpr uint64_t kBlockSize =
    4096;  ///< the store's unit; the last block of a device may be shorter

enum class DeltaAccess { read_only, read_write };

struct DeltaOptions {
    std::filesystem::path folder;  ///< holds `layers`, `000001.layer` …; need not exist
    uint64_t device_size = 0;
    Hash128 identity{};  ///< of the image (promise 9); a delta of another one is refused (EUCLEAN)
    DeltaAccess access = DeltaAccess::read_only;
    std::string use;  ///< what holds it, for whoever comes second: a mountpoint or a command
};

struct DeltaState {
    bool exists = false;  ///< false: the image as saved
    uint64_t commits = 0;
    uint64_t stored_bytes = 0;  ///< size of the layer files
    std::optional<std::chrono::system_clock::time_point> last_commit;
};

class DeltaStore {
  public:
    /// Opens at the last commit; finding none, it is empty. Read-only writes nothing at all. For
    /// writing it takes the lock (EBUSY, naming the holder: user, host, pid, use, since when); the
    /// layer file is made by the first commit.
    explicit DeltaStore(DeltaOptions options);
};

}  // namespace imgfs
