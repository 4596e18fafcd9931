// PendingFile: a file that appears under its name when it is complete and durable, or not at all.
#pragma once

#include <filesystem>
#include <string>

#include "fs/base/fd.h"

namespace imgfs {

/// Until publish() it has another name beside `path`, which ends with the object.
class PendingFile {
  public:
    /// Mode 0600.
    explicit PendingFile(const std::filesystem::path& path);
    PendingFile(PendingFile&& other) noexcept;
    PendingFile& operator=(PendingFile&&) = delete;
    ~PendingFile();

    int fd() const { return fd_.get(); }
    const std::string& name() const { return name_; }  ///< for errors

    /// What was written is durable; no more can be.
    void finish();

    /// Takes the place of what has that name in the same folder; durable once that was synced.
    void publish(const std::filesystem::path& path);

  private:
    std::string name_;  // empty once it is published
    Fd fd_;
};

}  // namespace imgfs
