// FileSource: one file of the host.
#pragma once

#include <filesystem>

#include "fs/base/fd.h"
#include "fs/source/source.h"

namespace imgfs {

/// Opened O_RDONLY. The size is taken at the start; a file that has become shorter is EUCLEAN when
/// read.
class FileSource final : public Source {
  public:
    /// A regular file or a block device; fails with "PATH: reason".
    explicit FileSource(const std::filesystem::path& path);

    uint64_t size() const override { return size_; }
    std::string place(uint64_t offset) const override;

  private:
    void read_inside(uint64_t offset, ByteSpan out) const override;

    std::string name_;
    Fd fd_;
    uint64_t size_ = 0;
};

}  // namespace imgfs
