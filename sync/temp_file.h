// A new file under a temporary name beside its place, gone again unless it is put there.
#pragma once

#include <string>

#include "sync/inode.h"

namespace imgsync {

/// A name that this run may use and a later run may remove: ".imgsync.", 16 hexadecimal digits.
std::string temporary_name();
bool is_temporary_name(std::string_view name);

/// Whatever is made under temporary names: unlinked at the end unless it was renamed.
class TempName {
  public:
    /// `directory` must outlive it.
    explicit TempName(int directory) : directory_(directory), name_(temporary_name()) {}
    TempName(const TempName&) = delete;
    TempName& operator=(const TempName&) = delete;
    ~TempName();

    int directory() const { return directory_; }
    const std::string& name() const { return name_; }
    /// A symlink, device, fifo or socket; false if only root may make it.
    bool make(const Entry& entry) const;
    void rename_to(const std::string& name, const std::string& path);

  private:
    int directory_;
    std::string name_;
    bool renamed_ = false;
};

/// Writes one file from its start; runs of zeros become holes.
class TempFile {
  public:
    TempFile(int directory, std::string path);

    void write(ConstByteSpan bytes);
    void skip_zeros(uint64_t count);
    /// Makes the file as long as what was written. No more writes after it.
    void end();
    /// What was written has reached the file system, or this fails.
    void close();
    uint64_t size() const { return offset_; }
    int fd() const { return file_.get(); }
    TempName& name() { return name_; }

  private:
    TempName name_;
    Fd file_;
    std::string path_;  // for errors
    uint64_t offset_ = 0;
    uint64_t written_ = 0;  // end of the last data, holes after it not counted
};

bool is_zero(ConstByteSpan bytes);

}  // namespace imgsync
