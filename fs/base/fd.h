// File descriptors that close themselves, and exact reads and writes on them.
#pragma once

#include <filesystem>
#include <string>
#include <utility>

#include "fs/base/bytes.h"

namespace imgfs {

/// Owns one descriptor; -1 is none.
class Fd {
  public:
    Fd() = default;
    explicit Fd(int fd) : fd_(fd) {}
    Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Fd& operator=(Fd&& other) noexcept;
    ~Fd() { close(); }

    int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }
    void close();
    /// For a file that was written: some file systems tell of a failed write at its close only.
    void close_checked(const std::string& name);

  private:
    int fd_ = -1;
};

/// open(2) with O_CLOEXEC added; fails with "PATH: reason".
Fd open_file(const std::filesystem::path& path, int flags, unsigned mode = 0666);

/// Reads up to out.size() bytes at `offset`, fewer only at the end of the file. `name` is for the
/// error.
size_t read_some(int fd, uint64_t offset, ByteSpan out, const std::string& name);

/// Writes all bytes at `offset` or fails.
void write_exactly(int fd, uint64_t offset, ConstByteSpan bytes, const std::string& name);

/// Reads a whole small file; fails with EFBIG over `limit` bytes.
Bytes read_file(const std::filesystem::path& path, uint64_t limit);

/// Puts a file in place all or nothing and durably: temporary name, write, fsync, rename, fsync the
/// directory.
void replace_file(const std::filesystem::path& path, ConstByteSpan content, unsigned mode = 0644);

/// Makes created, renamed and removed names in `directory` durable.
void sync_directory(const std::filesystem::path& directory);

}  // namespace imgfs
