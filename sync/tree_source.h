// The source of a push: walks a tree of files, directory by directory, names sorted.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sync/filter.h"
#include "sync/identity.h"
#include "sync/inode.h"
#include "sync/notices.h"

namespace imgsync {

/// Shared by the walk and by the files of it that are still to be sent, since each of them opens
/// its name below this descriptor.
struct SourceDirectory {
    Fd fd;
    std::string path;  ///< relative to the root; empty for the root itself
};

struct SourceFile {
    std::shared_ptr<SourceDirectory> directory;
    std::string name;
    Identity identity;
    uint8_t wishes = 0;  ///< how often the target asked for it
};

struct WalkOptions {
    std::vector<std::string> excludes;
    bool one_file_system = false;
    Time unsure_since = {};  ///< what changed since then may have changed without a trace
    std::optional<std::pair<dev_t, ino_t>> leave_out = {};  ///< a directory never gone into
};

class TreeSource {
  public:
    /// `root` is the opened directory, `shown` its name for errors. `notices` must outlive it.
    TreeSource(Fd root, std::string shown, WalkOptions options, Notices& notices);

    const Entry& root() const { return root_entry_; }

    /// The next piece; nothing after the last one. `files` gets the files in it, by id.
    std::optional<Piece> next(std::map<uint64_t, SourceFile>& files);

    /// Below `shown`, for errors.
    std::string shown(const SourceFile& file) const;

    uint64_t entries() const { return entries_; }
    uint64_t file_bytes() const { return file_bytes_; }

  private:
    struct Child {
        std::string name;
        uint64_t id = 0;
        Identity identity;
        bool elsewhere = false;  // on another file system: not gone into
    };
    struct Seen {
        Entry entry;
        Identity identity = {};
        bool elsewhere = false;
    };
    struct Visit {
        std::shared_ptr<SourceDirectory> directory;
        uint64_t id = 0;
        std::vector<std::string> names;
        size_t next_name = 0;
        bool listed = false;
        bool complete = true;
        std::vector<Child> children = {};  // still to be visited; the next one is the last
    };
    struct Group {
        uint64_t id = 0;
        nlink_t seen = 0;
    };

    static Fd open_child(const SourceDirectory& parent, const Child& child,
                         const std::string& path);
    bool enter_next_child();
    Piece fill(Visit& visit, std::map<uint64_t, SourceFile>& files);
    std::optional<Seen> look_at(const Visit& visit, const std::string& name);
    void remember(Visit& visit, const Seen& seen, std::map<uint64_t, SourceFile>& files);
    bool is_elsewhere(const Inode& inode) const;
    LinkGroup group_of(const Inode& inode);
    std::string shown(const std::string& path) const;

    const std::string shown_;
    const WalkOptions options_;
    const Filter filter_;
    Notices& notices_;
    dev_t device_ = 0;
    Entry root_entry_;
    std::vector<Visit> visits_;  // from the root to where the walk is
    std::map<std::pair<dev_t, ino_t>, Group> groups_;
    uint64_t next_id_ = 1;
    uint64_t next_piece_ = 0;
    uint64_t entries_ = 0;
    uint64_t file_bytes_ = 0;
};

/// `directory` and `name` as a path relative to the root.
std::string joined(const std::string& directory, const std::string& name);

/// The names in an opened directory, sorted, without . and ..
std::vector<std::string> names_in(int directory, const std::string& shown);

}  // namespace imgsync
