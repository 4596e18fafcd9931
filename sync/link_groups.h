// Hard links at the target: which names are one inode.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sync/entry.h"
#include "sync/inode.h"

namespace imgsync {

/// A further name that waits for the first one's content.
struct WaitingName {
    uint64_t directory = 0;
    Entry entry;
};

class LinkGroups {
  public:
    enum class State {
        pending,
        ready,
        renewed,  // in a dry run: it would become a new inode
        failed
    };

    /// The first name of a group came; it may be long until it is in place.
    void begin(const Entry& entry, const std::string& path);
    /// The first name is in place (or not, and never will be). Gives those that waited for it.
    std::vector<WaitingName> resolve(const LinkGroup& links, State state);
    /// A further name: must it wait, can it be linked, or did the first fail? An unknown group is a
    /// breach of protocol.
    State state(const LinkGroup& links) const;
    const std::string& path(const LinkGroup& links) const;
    void wait(WaitingName name);
    /// After a name was handled: the last one ends the group.
    void handled(const LinkGroup& links);

    /// True if `present`, an inode with several names at the target, can't stay under this entry's
    /// name: it already stands for other names of the source, or the source has no links there.
    bool must_split(const Entry& entry, const Inode& present);

  private:
    struct Group {
        State state = State::pending;
        std::string path;
        std::vector<WaitingName> waiting = {};
        bool last_seen = false;
    };
    std::map<uint64_t, Group> groups_;
    std::map<std::pair<dev_t, ino_t>, uint64_t> claims_;  // inode at the target → its group
};

}  // namespace imgsync
