// A directory that is gone after the test.
#pragma once

#include <filesystem>
#include <string_view>

#include "fs/base/bytes.h"

namespace imgfs {

/// Where a test of thousands of fsyncs takes seconds.
std::filesystem::path memory_directory();

class TempDir {
  public:
    explicit TempDir(const std::filesystem::path& parent = std::filesystem::temp_directory_path());
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;
    ~TempDir();

    const std::filesystem::path& path() const { return path_; }
    std::filesystem::path operator/(std::string_view name) const { return path_ / name; }

  private:
    std::filesystem::path path_;
};

void write_file(const std::filesystem::path& path, ConstByteSpan content);

}  // namespace imgfs
