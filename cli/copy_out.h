// Files out of a view into a directory of the host.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "fs/base/fd.h"
#include "fs/view/view.h"
#include "sync/temp_file.h"

namespace imgfs {

/// Copies what a view holds, with modes, times, link targets and hard links; owners, device nodes
/// and extended attributes as far as the caller may set them, set-uid bits with the owner only. The
/// image is not trusted: everything is reached through directories that were opened without
/// following links, and a file appears under its name only when it is complete.
class CopyOut {
  public:
    /// `note` is told what could not be copied; the rest goes on. `progress` of regular files'
    /// bytes.
    CopyOut(View& view, std::function<void(const std::string&)> note,
            std::function<void(uint64_t bytes)> progress);

    /// Copies the file or, with all below it, the directory as `name` in the directory `into`.
    void copy(const Attributes& file, const std::filesystem::path& into, const std::string& name);

    bool complete() const { return complete_; }

  private:
    struct Place {  // where a copy goes
        int directory;
        std::string name;
        std::string path;  // for messages
    };

    void copy_any(const Attributes& file, const Place& place);
    void copy_directory(const Attributes& file, const Place& place);
    void copy_file(const Attributes& file, const Place& place);
    void copy_special(const Attributes& file, const Place& place);
    bool link_to_earlier_copy(const Attributes& file, const Place& place);
    void write_content(const Attributes& file, imgsync::TempFile& copy);
    void set_metadata(const Attributes& file, int fd, const std::string& path);

    View& view_;
    std::function<void(const std::string&)> note_;
    std::function<void(uint64_t)> progress_;
    std::filesystem::path root_;
    std::map<InodeNumber, std::string>
        linked_;  // files with several names: where the first copy is
    bool complete_ = true;
};

}  // namespace imgfs
