// NewParts: one stream into a new file, or into parts as `split` names them.
#pragma once

#include <filesystem>
#include <vector>

#include "fs/base/bytes.h"
#include "fs/transfer/pending_file.h"

namespace imgfs {

/// For the use of one thread. Leaves nothing behind if it goes before publish().
class NewParts {
  public:
    /// `part_size`: bytes; with 0 there is one file, `path`, else PATH.aa, PATH.ab …
    NewParts(std::filesystem::path path, uint64_t part_size);

    void write(ConstByteSpan bytes);

    /// Gives the parts their names once all are durable, the first one last; one file takes the
    /// place of one that has its name. Returns the names.
    std::vector<std::filesystem::path> publish();

    uint64_t size() const { return size_; }  ///< bytes written

  private:
    std::filesystem::path name_of(size_t part) const;
    void begin_part();
    void publish_parts();

    const std::filesystem::path path_;
    const uint64_t part_size_;
    uint64_t size_ = 0;
    uint64_t in_part_ = 0;
    std::vector<PendingFile> parts_;
};

/// The files that an image of that name has now: the file itself, or parts of it. ENOENT if there
/// are parts, but not the first.
std::vector<std::filesystem::path> files_of_name(const std::filesystem::path& path);

}  // namespace imgfs
