// A directory that is gone after the test.
#pragma once

#include <filesystem>
#include <string_view>

#include "fs/base/bytes.h"

namespace imgfs {

class TempDir {
  public:
    TempDir();
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
