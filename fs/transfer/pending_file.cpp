#include "fs/transfer/pending_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>

#include "fs/base/error.h"

namespace imgfs {

// Whoever joins the parts of an image by NAME.* passes over it.
PendingFile::PendingFile(const std::filesystem::path& path)
    : name_((path.parent_path() / ("." + path.filename().string() + ".imgfs-XXXXXX")).string()),
      fd_(::mkostemp(name_.data(), O_CLOEXEC)) {
    if (!fd_) {
        name_.clear();
        fail_errno(path.string());
    }
}

PendingFile::PendingFile(PendingFile&& other) noexcept
    : name_(std::exchange(other.name_, {})), fd_(std::move(other.fd_)) {}

PendingFile::~PendingFile() {
    if (!name_.empty()) {
        ::unlink(name_.c_str());
    }
}

void PendingFile::finish() {
    if (::fsync(fd_.get()) != 0) {
        fail_errno(name_ + ": fsync");
    }
    fd_.close_checked(name_);
}

void PendingFile::publish(const std::filesystem::path& path) {
    if (::rename(name_.c_str(), path.c_str()) != 0) {
        fail_errno(path.string());
    }
    name_.clear();
}

}  // namespace imgfs
