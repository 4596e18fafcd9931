#include "sync/tree_source.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "fs/base/error.h"
#include "fs/base/text.h"

namespace imgsync {

std::string joined(const std::string& directory, const std::string& name) {
    return directory.empty() ? name : directory + "/" + name;
}

std::vector<std::string> names_in(int directory, const std::string& shown) {
    const int copy = ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR* opened = copy < 0 ? nullptr : ::fdopendir(copy);
    if (opened == nullptr) {
        imgfs::fail_errno(imgfs::printable(shown));
    }
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(opened, ::closedir);
    std::vector<std::string> names;
    for (;;) {
        errno = 0;
        const auto* entry = ::readdir(stream.get());
        if (entry == nullptr) {
            break;
        }
        const std::string_view name = entry->d_name;
        if (name != "." && name != "..") {
            names.emplace_back(name);
        }
    }
    if (errno != 0) {
        imgfs::fail_errno(imgfs::printable(shown) + ": list of names");
    }
    std::ranges::sort(names);
    return names;
}

TreeSource::TreeSource(Fd root, std::string shown, WalkOptions options, Notices& notices)
    : shown_(std::move(shown)),
      options_(std::move(options)),
      filter_(options_.excludes),
      notices_(notices) {
    const Inode inode(Fd(::fcntl(root.get(), F_DUPFD_CLOEXEC, 0)), shown_);
    device_ = inode.status().st_dev;
    root_entry_ = inode.entry();
    auto names = names_in(root.get(), shown_);
    visits_.push_back({std::make_shared<SourceDirectory>(SourceDirectory{std::move(root), {}}), 0,
                       std::move(names)});
}

std::string TreeSource::shown(const std::string& path) const {
    return shown_.ends_with('/') ? shown_ + path : joined(shown_, path);
}

std::string TreeSource::shown(const SourceFile& file) const {
    return shown(joined(file.directory->path, file.name));
}

std::optional<Piece> TreeSource::next(std::map<uint64_t, SourceFile>& files) {
    while (!visits_.empty()) {
        if (!visits_.back().listed) {
            return fill(visits_.back(), files);
        }
        if (!enter_next_child()) {
            visits_.pop_back();
        }
    }
    return std::nullopt;
}

Fd TreeSource::open_child(const SourceDirectory& parent, const Child& child,
                          const std::string& path) {
    Fd fd(::openat(parent.fd.get(), child.name.c_str(),
                   O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) {
        imgfs::fail_errno(imgfs::printable(path));
    }
    check_identity(child.identity, fd.get(), path);
    return fd;
}

/// A directory that can't be entered, or that lies on another file system, is listed as an
/// incomplete one without names, so the target keeps what it has there.
bool TreeSource::enter_next_child() {
    auto& parent = visits_.back();
    if (parent.children.empty()) {
        return false;
    }
    const auto child = std::move(parent.children.back());
    parent.children.pop_back();
    const auto path = joined(parent.directory->path, child.name);
    Visit visit{std::make_shared<SourceDirectory>(SourceDirectory{Fd(), path}), child.id, {}};
    visit.complete = !child.elsewhere;
    try {
        if (!child.elsewhere) {
            visit.directory->fd = open_child(*parent.directory, child, shown(path));
            visit.names = names_in(visit.directory->fd.get(), shown(path));
        }
    } catch (const std::system_error& error) {
        visit.complete = false;
        if (error.code().value() == ENOENT) {
            notices_.vanished(shown(path));
        } else {
            notices_.problem(imgfs::message_of(error));
        }
    }
    visits_.push_back(std::move(visit));
    return true;
}

Piece TreeSource::fill(Visit& visit, std::map<uint64_t, SourceFile>& files) {
    Piece piece{.directory = visit.id, .number = next_piece_++};
    size_t bytes = 0;
    while (visit.next_name < visit.names.size() && piece.entries.size() < kPieceEntries &&
           bytes < kPieceBytes) {
        auto seen = look_at(visit, visit.names[visit.next_name++]);
        if (!seen) {
            continue;
        }
        auto& entry = seen->entry;
        Packer packer;
        pack(packer, entry);
        if (packer.bytes().size() > kLargestEntry) {
            notices_.problem(imgfs::printable(shown(joined(visit.directory->path, entry.name))) +
                             ": more extended attributes than imgsync can send");
            entry = {.kind = Kind::keep, .name = entry.name};
        }
        bytes += packer.bytes().size();
        remember(visit, *seen, files);
        piece.entries.push_back(std::move(entry));
    }
    piece.complete = visit.complete;
    piece.last = visit.next_name == visit.names.size();
    if (piece.last) {
        visit.listed = true;
        visit.names = {};
        std::ranges::reverse(visit.children);
    }
    return piece;
}

void TreeSource::remember(Visit& visit, const Seen& seen, std::map<uint64_t, SourceFile>& files) {
    const auto& entry = seen.entry;
    ++entries_;
    if (entry.kind == Kind::directory) {
        visit.children.push_back({entry.name, entry.id, seen.identity, seen.elsewhere});
    } else if (entry.kind == Kind::file && (entry.links.id == 0 || entry.links.first)) {
        file_bytes_ += entry.size;
        files.emplace(entry.id, SourceFile{visit.directory, entry.name, seen.identity});
    }
}

std::optional<TreeSource::Seen> TreeSource::look_at(const Visit& visit, const std::string& name) {
    const auto path = joined(visit.directory->path, name);
    const Seen keep{.entry = {.kind = Kind::keep, .name = name}};
    try {
        const auto inode = Inode::find(visit.directory->fd.get(), name, shown(path));
        if (!inode) {
            notices_.vanished(shown(path));
            return keep;
        }
        if (filter_.excludes(path, inode->is_directory())) {
            return std::nullopt;
        }
        const bool elsewhere = is_elsewhere(*inode);
        if (elsewhere && !inode->is_directory()) {
            return keep;
        }
        const std::pair place(inode->status().st_dev, inode->status().st_ino);
        if (inode->is_directory() && options_.leave_out == place) {
            return keep;
        }
        auto entry = inode->entry();
        entry.name = name;
        entry.id = next_id_++;
        entry.links = group_of(*inode);
        const auto& status = inode->status();
        entry.unsure =
            entry.kind == Kind::file &&
            std::max(entry.attributes.modified, changed_of(status)) >= options_.unsure_since;
        const auto identity = identity_of(status, entry.attributes);
        return Seen{std::move(entry), identity, elsewhere};
    } catch (const std::system_error& error) {
        notices_.problem(imgfs::message_of(error));
        return keep;
    }
}

bool TreeSource::is_elsewhere(const Inode& inode) const {
    return options_.one_file_system && inode.status().st_dev != device_;
}

LinkGroup TreeSource::group_of(const Inode& inode) {
    const auto& status = inode.status();
    if (inode.is_directory() || status.st_nlink < 2) {
        return {};
    }
    const auto place = groups_.try_emplace({status.st_dev, status.st_ino}).first;
    auto& group = place->second;
    const bool first = group.seen++ == 0;
    if (first) {
        group.id = next_id_++;
    }
    const LinkGroup links{.id = group.id, .first = first, .last = group.seen >= status.st_nlink};
    if (links.last) {
        groups_.erase(place);
    }
    return links;
}

}  // namespace imgsync
