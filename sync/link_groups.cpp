#include "sync/link_groups.h"

namespace imgsync {

void LinkGroups::begin(const Entry& entry, const std::string& path) {
    if (entry.links.id == 0) {
        return;
    }
    const Group group{.path = path, .last_seen = entry.links.last};
    if (!groups_.try_emplace(entry.links.id, group).second) {
        fail_protocol("a second beginning of a hard link");
    }
}

std::vector<WaitingName> LinkGroups::resolve(const LinkGroup& links, State state) {
    const auto found = groups_.find(links.id);
    if (found == groups_.end()) {
        return {};
    }
    found->second.state = state;
    auto waiting = std::move(found->second.waiting);
    if (found->second.last_seen && waiting.empty()) {
        groups_.erase(found);
    }
    return waiting;
}

LinkGroups::State LinkGroups::state(const LinkGroup& links) const {
    const auto found = groups_.find(links.id);
    if (found == groups_.end()) {
        fail_protocol("a hard link to nothing");
    }
    return found->second.state;
}

const std::string& LinkGroups::path(const LinkGroup& links) const {
    return groups_.at(links.id).path;
}

void LinkGroups::wait(WaitingName name) {
    auto& group = groups_.at(name.entry.links.id);
    group.last_seen = group.last_seen || name.entry.links.last;
    group.waiting.push_back(std::move(name));
}

void LinkGroups::handled(const LinkGroup& links) {
    if (links.last) {
        groups_.erase(links.id);
    }
}

bool LinkGroups::must_split(const Entry& entry, const Inode& present) {
    const auto& status = present.status();
    if (status.st_nlink < 2 || present.is_directory()) {
        return false;
    }
    if (entry.links.id == 0) {
        return true;
    }
    const auto claim =
        claims_.try_emplace({status.st_dev, status.st_ino}, entry.links.id).first->second;
    return claim != entry.links.id;
}

}  // namespace imgsync
