// LayerFile: the one place where the store changes files, so that tests can watch and fail it.
#pragma once

#include <filesystem>
#include <string>

#include "fs/base/fd.h"

namespace imgfs {

/// One change to a file or folder of the delta.
struct FileChange {
    enum class Kind { create, write, sync, truncate, allocate, replace, remove, sync_folder };

    Kind kind;
    std::filesystem::path path;
    uint64_t offset = 0;  ///< of a write; the new size of a truncate
    ConstByteSpan bytes;  ///< of a write or replace
};

/// Told of each change just before it is done; may throw, and then it is not done.
class FileWatcher {
  public:
    virtual ~FileWatcher() = default;
    virtual void before(const FileChange& change) = 0;
};

/// Concurrent reads are safe; changes come from one thread at a time, but for allocate().
class LayerFile {
  public:
    /// Makes a new file; EEXIST if there is one.
    static LayerFile create(const std::filesystem::path& path, FileWatcher* watcher);
    static LayerFile open(const std::filesystem::path& path, bool writable, FileWatcher* watcher);

    const std::filesystem::path& path() const { return path_; }
    std::string name() const { return path_.string(); }
    uint64_t size() const;

    /// As imgfs::read_some().
    size_t read_some(uint64_t offset, ByteSpan out) const;

    void write(uint64_t offset, ConstByteSpan bytes);
    void sync();
    void truncate(uint64_t size);

    /// Gets the space of a range behind the end without growing the file, or fails with ENOSPC.
    void allocate(uint64_t offset, uint64_t length);

    /// Against other programs; whoever has it open for writing goes on.
    void make_read_only();

    /// Makes later reads behind `offset` come from the disk, not from pages that were never
    /// written.
    void forget_cached(uint64_t offset) const;

  private:
    LayerFile(std::filesystem::path path, Fd fd, FileWatcher* watcher)
        : path_(std::move(path)), fd_(std::move(fd)), watcher_(watcher) {}

    std::filesystem::path path_;
    Fd fd_;
    FileWatcher* watcher_;
};

/// Changes to the folder itself.
void replace_watched(const std::filesystem::path& path, ConstByteSpan content,
                     FileWatcher* watcher);
void remove_watched(const std::filesystem::path& path, FileWatcher* watcher);
void sync_folder_watched(const std::filesystem::path& path, FileWatcher* watcher);

}  // namespace imgfs
