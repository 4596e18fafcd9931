#include "sync/target_tree.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "fs/base/error.h"
#include "fs/base/text.h"
#include "sync/temp_file.h"
#include "sync/tree_source.h"

namespace imgsync {
namespace {

Fd duplicate(int fd) {
    return Fd(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

Fd open_directory(int parent, const std::string& name, const std::string& shown) {
    Fd fd(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) {
        imgfs::fail_errno(imgfs::printable(shown));
    }
    return fd;
}

/// An ordinary user needs these rights to fill a directory of theirs; the wanted mode is set at the
/// end.
void open_up(int directory, const struct stat& status) {
    if (::geteuid() != 0 && (status.st_mode & 0700) != 0700) {
        ::fchmod(directory, (status.st_mode & 07777) | 0700);
    }
}

}  // namespace

TargetTree::TargetTree(Fd root, bool is_new, std::string shown, Filter filter, Changes& changes)
    : root_(std::move(root)),
      shown_(std::move(shown)),
      filter_(std::move(filter)),
      changes_(changes),
      root_is_new_(is_new) {}

std::string TargetTree::shown(const std::string& path) const {
    return shown_.ends_with('/') || path.empty() ? shown_ + path : shown_ + "/" + path;
}

std::string TargetTree::shown(const TargetDirectory& directory, const std::string& name) const {
    return shown(joined(directory.path, name));
}

void TargetTree::start(const Entry& root) {
    auto& directory = directories_[0];
    directory.wanted = root;
    directory.is_new = root_is_new_;
    if (root_is_new_) {
        changes_.record(Action::created, Kind::directory, ".");
    }
    directory.state = TargetDirectory::State::missing;
    if (root_) {
        directory.fd = duplicate(root_.get());
        enter(directory);
    }
}

TargetDirectory& TargetTree::open(uint64_t id) {
    const auto found = directories_.find(id);
    if (found == directories_.end() || found->second.is_listed) {
        fail_protocol("the content of a directory nobody announced, or that was complete");
    }
    auto& directory = found->second;
    if (directory.state == TargetDirectory::State::waiting) {
        try {
            const auto& parent = directories_.at(directory.parent);
            directory.fd =
                open_directory(parent.fd.get(), directory.wanted.name, shown(directory.path));
            enter(directory);
        } catch (const std::system_error& error) {
            directory.state = TargetDirectory::State::failed;
            changes_.problem(error);
        }
    }
    if (directory.state == TargetDirectory::State::usable && !directory.names_read) {
        read_names(directory);
    }
    return directory;
}

void TargetTree::enter(TargetDirectory& directory) {
    const Inode inode(duplicate(directory.fd.get()), shown(directory.path));
    directory.attributes_differ =
        !directory.is_new && !is_same(inode.attributes(), directory.wanted.attributes);
    if (!changes_.is_dry_run()) {
        open_up(directory.fd.get(), inode.status());
    }
    directory.state = TargetDirectory::State::usable;
}

/// What a killed run left behind goes first.
void TargetTree::read_names(TargetDirectory& directory) {
    directory.names_read = true;
    try {
        for (auto& name : names_in(directory.fd.get(), shown(directory.path))) {
            if (!is_temporary_name(name)) {
                directory.unlisted.insert(std::move(name));
            } else if (!changes_.is_dry_run()) {
                ::unlinkat(directory.fd.get(), name.c_str(), 0);
            }
        }
        directory.names_known = true;
    } catch (const std::system_error& error) {
        directory.unlisted.clear();
        changes_.problem(error);
    }
}

void TargetTree::add(TargetDirectory& parent, const Entry& entry,
                     const std::optional<Inode>& present) {
    using State = TargetDirectory::State;
    TargetDirectory directory;
    directory.id = entry.id;
    directory.parent = parent.id;
    directory.path = joined(parent.path, entry.name);
    directory.wanted = entry;
    if (directory.path.size() > kLongestPath) {
        fail_protocol("a path longer than any");
    }
    if (parent.state == State::usable) {
        try {
            make(parent, entry, present, directory);
        } catch (const std::system_error& error) {
            directory.state = State::failed;
            changes_.problem(error);
        }
    } else {
        directory.state = parent.state;
        if (parent.state == State::missing) {
            changes_.record(Action::created, Kind::directory, directory.path);
        }
    }
    if (!directories_.try_emplace(entry.id, std::move(directory)).second) {
        fail_protocol("two directories with one number");
    }
    ++parent.pending;
}

void TargetTree::make(TargetDirectory& parent, const Entry& entry,
                      const std::optional<Inode>& present, TargetDirectory& directory) {
    if (present && present->is_directory()) {
        return;
    }
    directory.is_new = true;
    changes_.record(present ? Action::changed : Action::created, Kind::directory, directory.path);
    if (changes_.is_dry_run()) {
        directory.state = TargetDirectory::State::missing;
        return;
    }
    const auto name = entry.name.c_str();
    if ((present && ::unlinkat(parent.fd.get(), name, 0) != 0) ||
        ::mkdirat(parent.fd.get(), name, 0700) != 0) {
        imgfs::fail_errno(imgfs::printable(shown(directory.path)));
    }
}

void TargetTree::end_listing(TargetDirectory& directory, bool complete) {
    if (directory.state == TargetDirectory::State::usable && complete) {
        for (const auto& name : directory.unlisted) {
            try {
                remove_extra(directory, name);
            } catch (const std::system_error& error) {
                changes_.problem(error);
            }
        }
    }
    directory.unlisted.clear();
    directory.is_listed = true;
    settle(directory.id);
}

void TargetTree::remove_extra(TargetDirectory& directory, const std::string& name) {
    const auto path = joined(directory.path, name);
    const auto inode = Inode::find(directory.fd.get(), name, shown(path));
    if (!inode || filter_.excludes(path, inode->is_directory())) {
        return;
    }
    if (!changes_.deletes()) {
        changes_.kept();
        return;
    }
    remove(directory.fd.get(), name, path, place_of(directory.fd.get(), shown(directory.path)));
}

/// False if something excluded, or mounted, is in it and so it stays.
bool TargetTree::remove(int directory, const std::string& name, const std::string& path,
                        const Place& place) {
    const auto inode = Inode::find(directory, name, shown(path));
    if (!inode) {
        return true;
    }
    if (filter_.excludes(path, inode->is_directory()) ||
        place_of(inode->fd(), shown(path)) != place) {
        return false;
    }
    if (inode->is_directory() && !remove_content(*inode, path)) {
        return false;
    }
    if (!changes_.is_dry_run() &&
        ::unlinkat(directory, name.c_str(), inode->is_directory() ? AT_REMOVEDIR : 0) != 0) {
        imgfs::fail_errno(imgfs::printable(shown(path)));
    }
    changes_.record(Action::deleted, kind_of(inode->status().st_mode), path);
    return true;
}

bool TargetTree::remove_content(const Inode& inode, const std::string& path) {
    const Fd opened = open_directory(inode.fd(), ".", shown(path));
    if (!changes_.is_dry_run()) {
        open_up(opened.get(), inode.status());
    }
    const auto place = place_of(opened.get(), shown(path));
    bool all = true;
    for (const auto& name : names_in(opened.get(), shown(path))) {
        all = remove(opened.get(), name, joined(path, name), place) && all;
    }
    return all;
}

bool TargetTree::make_room(TargetDirectory& directory, const std::string& name) {
    const auto path = joined(directory.path, name);
    const auto inode = Inode::find(directory.fd.get(), name, shown(path));
    if (!inode || !inode->is_directory()) {
        return inode.has_value();
    }
    if (changes_.deletes()) {
        if (remove(directory.fd.get(), name, path,
                   place_of(directory.fd.get(), shown(directory.path)))) {
            return true;
        }
    } else if (changes_.is_dry_run()) {
        const Fd opened = open_directory(inode->fd(), ".", shown(path));
        if (names_in(opened.get(), shown(path)).empty()) {
            return true;
        }
    } else if (::unlinkat(directory.fd.get(), name.c_str(), AT_REMOVEDIR) == 0) {
        return true;
    }
    imgfs::fail(ENOTEMPTY, imgfs::printable(shown(path)) +
                               ": is a directory that isn't empty, and no directory in the source; "
                               "push with --delete or move it away");
}

void TargetTree::settle(uint64_t id) {
    for (;;) {
        const auto found = directories_.find(id);
        if (found == directories_.end()) {
            fail_protocol("more for a directory than it was to get");
        }
        auto& directory = found->second;
        if (--directory.pending > 0) {
            return;
        }
        finish(directory);
        const auto parent = directory.parent;
        directories_.erase(found);
        if (id == 0) {
            return;
        }
        id = parent;
    }
}

void TargetTree::finish(TargetDirectory& directory) {
    if (directory.state != TargetDirectory::State::usable) {
        return;
    }
    const auto path = directory.path.empty() ? "." : directory.path;
    if (changes_.is_dry_run()) {
        if (directory.attributes_differ) {
            changes_.record(Action::attributes, Kind::directory, path);
        }
        return;
    }
    try {
        Inode inode(std::move(directory.fd), shown(directory.path));
        const auto result = inode.set(directory.wanted.attributes);
        changes_.take(result);
        if (directory.attributes_differ && !result.not_permitted) {
            changes_.record(Action::attributes, Kind::directory, path);
        }
    } catch (const std::system_error& error) {
        changes_.problem(error);
    }
}

bool TargetTree::is_same_time(const Time& present, const Time& wanted) {
    return present == wanted ||
           (present.seconds == wanted.seconds && present.nanoseconds == 0 && !keeps_nanoseconds());
}

bool TargetTree::is_same(const Attributes& present, Attributes wanted) {
    if (is_same_time(present.modified, wanted.modified)) {
        wanted.modified = present.modified;
    }
    return present == wanted;
}

/// Tries it out once; in a dry run it can't.
bool TargetTree::keeps_nanoseconds() {
    if (!keeps_nanoseconds_ && !changes_.is_dry_run()) {
        const TempFile probe(root_.get(), shown("."));
        auto inode = Inode::of_open_file(probe.fd(), shown("."));
        auto attributes = inode.attributes();
        attributes.modified.nanoseconds = 123'456'789;
        inode.set(attributes);
        keeps_nanoseconds_ = modified_of(inode.status()).nanoseconds != 0;
    }
    return keeps_nanoseconds_.value_or(true);
}

std::optional<Inode> TargetTree::find(const std::string& path) const {
    open_how how{};
    how.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    const auto fd = ::syscall(SYS_openat2, root_.get(), path.c_str(), &how, sizeof how);
    // A symlink as the last component is meant itself, which RESOLVE_NO_SYMLINKS allows with O_PATH
    // and O_NOFOLLOW.
    if (fd < 0 && errno == ENOENT) {
        return std::nullopt;
    }
    if (fd < 0) {
        imgfs::fail_errno(imgfs::printable(shown(path)));
    }
    return Inode(Fd(static_cast<int>(fd)), shown(path));
}

}  // namespace imgsync
