#include "fs/transfer/damaged_files.h"

#include <algorithm>
#include <cerrno>
#include <unordered_set>

#include "fs/base/error.h"

namespace imgfs {
namespace {

constexpr size_t kReadSize = kMiB;

class Search {
  public:
    Search(View& view, const std::function<void(const std::string&, const std::string&)>& report,
           const Progress& progress)
        : view_(view), report_(report), progress_(progress), buffer_(kReadSize) {
        const auto space = view.space();
        total_ = (space.blocks - space.free_blocks) * space.block_size;
    }

    void run() {
        // A stack of its own: an image may be deeper than the thread's.
        directories_.emplace_back(kRootInode, "/");
        seen_.insert(kRootInode);
        while (!directories_.empty()) {
            const auto [inode, path] = std::move(directories_.back());
            directories_.pop_back();
            guarded(path, [&] { look_into(inode, path); });
        }
    }

  private:
    template <typename Work>
    void guarded(const std::string& path, Work work) {
        try {
            work();
        } catch (const std::system_error& error) {
            if (errno_of(error) != EUCLEAN) {
                throw;
            }
            report_(path, message_of(error));
        }
    }

    void look_into(InodeNumber directory, const std::string& path) {
        for (const auto& entry : view_.entries(directory)) {
            if (entry.name != "." && entry.name != ".." && seen_.insert(entry.inode).second) {
                const auto name = (path == "/" ? path : path + "/") + entry.name;
                guarded(name, [&] { look_at(entry.inode, name); });
            }
        }
    }

    void look_at(InodeNumber inode, const std::string& path) {
        const auto attributes = view_.attributes(inode);
        if (S_ISDIR(attributes.mode)) {
            directories_.emplace_back(inode, path);
        } else if (S_ISLNK(attributes.mode)) {
            view_.link_target(inode);
        }
        for (const auto& name : view_.xattr_names(inode)) {
            view_.xattr(inode, name);
        }
        if (S_ISREG(attributes.mode)) {
            read_all(inode);
        }
    }

    void read_all(InodeNumber inode) {
        for (uint64_t at = 0;;) {
            const auto count = view_.read(inode, at, buffer_);
            at += count;
            done_ += count;
            if (progress_) {
                progress_(done_, std::max(done_, total_));
            }
            if (count < buffer_.size()) {
                return;
            }
        }
    }

    View& view_;
    const std::function<void(const std::string&, const std::string&)>& report_;
    const Progress& progress_;
    Bytes buffer_;
    uint64_t done_ = 0;
    uint64_t total_;
    std::vector<std::pair<InodeNumber, std::string>> directories_;
    std::unordered_set<InodeNumber> seen_;
};

}  // namespace

void find_damaged_files(
    View& view, const std::function<void(const std::string& path, const std::string& why)>& report,
    const Progress& progress) {
    Search(view, report, progress).run();
}

}  // namespace imgfs
