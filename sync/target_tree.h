// The directories of a push's target: opened one below the other, never through a path, finished
// when nothing in them is on its way any more.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "sync/changes.h"
#include "sync/filter.h"
#include "sync/inode.h"

namespace imgsync {

struct TargetDirectory {
    enum class State {
        waiting,  // not opened yet
        usable,
        missing,  // in a dry run: it would be made
        failed    // couldn't be made or opened; all below it is passed over
    };

    uint64_t id = 0;
    uint64_t parent = 0;
    std::string path;  ///< relative to the root
    Entry wanted;
    State state = State::waiting;
    Fd fd;
    bool is_new = false;
    bool attributes_differ = false;
    bool is_listed = false;  ///< the last of its names has come
    bool names_read = false;
    bool names_known = false;        ///< `unlisted` began with all names that are here
    std::set<std::string> unlisted;  ///< names here that the source hasn't listed
    uint64_t pending = 1;            ///< its own listing, directories in it, files on their way
};

class TargetTree {
  public:
    /// `root` is -1 in a dry run onto nothing. `shown` is the target's name for errors. `changes`
    /// must outlive it.
    TargetTree(Fd root, bool is_new, std::string shown, Filter filter, Changes& changes);

    /// The root's attributes. Once, before anything else.
    void start(const Entry& root);

    /// Opened, as far as that is possible, to take more names. A directory nobody announced, or
    /// whose last name has come, is a breach of protocol.
    TargetDirectory& open(uint64_t id);
    /// For what is on its way into a directory that open() gave.
    TargetDirectory& at(uint64_t id) { return directories_.at(id); }

    /// Makes it in `parent`, or takes the one that is there; its content comes later.
    void add(TargetDirectory& parent, const Entry& entry, const std::optional<Inode>& present);

    /// After the last name of it: deletes or counts what the source hasn't.
    void end_listing(TargetDirectory& directory, bool complete);

    /// One of what was pending is done; the last one sets the attributes.
    void settle(uint64_t id);

    /// Nothing is on its way.
    bool is_finished() const { return directories_.empty(); }

    /// Makes sure that no directory stands where something else will be put (in a dry run, that it
    /// could be removed). True if there was something under that name.
    bool make_room(TargetDirectory& directory, const std::string& name);

    std::string shown(const std::string& path) const;
    std::string shown(const TargetDirectory& directory, const std::string& name) const;
    /// An inode by a path that an earlier name had; never through a symlink or out of the tree.
    std::optional<Inode> find(const std::string& path) const;
    int root() const { return root_.get(); }
    /// As equal as the file system can store it: ext3 with small inodes has whole seconds only.
    bool is_same_time(const Time& present, const Time& wanted);
    bool is_same(const Attributes& present, Attributes wanted);

  private:
    bool keeps_nanoseconds();
    void enter(TargetDirectory& directory);
    void read_names(TargetDirectory& directory);
    void finish(TargetDirectory& directory);
    void make(TargetDirectory& parent, const Entry& entry, const std::optional<Inode>& present,
              TargetDirectory& directory);
    bool remove(int directory, const std::string& name, const std::string& path,
                const Place& place);
    bool remove_content(const Inode& inode, const std::string& path);
    void remove_extra(TargetDirectory& directory, const std::string& name);

    const Fd root_;
    const std::string shown_;
    const Filter filter_;
    Changes& changes_;
    bool root_is_new_;
    std::optional<bool> keeps_nanoseconds_;
    std::map<uint64_t, TargetDirectory> directories_;
};

}  // namespace imgsync
