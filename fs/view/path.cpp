#include "fs/view/path.h"

#include <cerrno>
#include <string>

#include "fs/base/error.h"
#include "fs/base/text.h"

namespace imgfs {
namespace {

constexpr int kMostLinks = 40;  // as the kernel

/// Takes the first component off `rest`; empty at the end.
std::string next_component(std::string& rest) {
    const auto start = rest.find_first_not_of('/');
    if (start == std::string::npos) {
        rest.clear();
        return {};
    }
    const auto end = rest.find('/', start);
    auto name = rest.substr(start, end == std::string::npos ? end : end - start);
    rest.erase(0, end == std::string::npos ? rest.size() : end);
    return name;
}

}  // namespace

std::optional<Attributes> resolve_path(View& view, std::string_view path, LastLink last) {
    std::string rest(path);
    std::vector<Attributes> trail = {view.attributes(kRootInode)};  // from the root to where we are
    int links = 0;
    for (auto name = next_component(rest); !name.empty(); name = next_component(rest)) {
        if (!S_ISDIR(trail.back().mode)) {
            return std::nullopt;
        }
        if (name == ".") {
            continue;
        }
        if (name == "..") {
            if (trail.size() > 1) {
                trail.pop_back();
            }
            continue;
        }
        const auto found = view.lookup(trail.back().inode, name);
        if (!found) {
            return std::nullopt;
        }
        if (S_ISLNK(found->mode) && (!rest.empty() || last == LastLink::follow)) {
            if (++links > kMostLinks) {
                fail(ELOOP, printable(path) + ": too many symbolic links");
            }
            const auto target = view.link_target(found->inode);
            if (target.starts_with('/')) {
                trail.resize(1);
            }
            rest.insert(0, target);
            continue;
        }
        trail.push_back(*found);
    }
    const bool wants_directory = path.ends_with('/');
    return wants_directory && !S_ISDIR(trail.back().mode) ? std::nullopt
                                                          : std::optional(trail.back());
}

}  // namespace imgfs
