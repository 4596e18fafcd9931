#include "fs/mount/mounted_view.h"

#include <algorithm>
#include <cerrno>
#include <iostream>

namespace imgfs {
namespace {

constexpr size_t kMostSentBack = 1024;

}  // namespace

MountedView::~MountedView() {
    for (const auto& [inode, count] : opened_) {
        try {
            for (unsigned i = 0; i < count; ++i) {
                view_.close(inode);
            }
        } catch (const std::exception& error) {
            report(error);
        }
    }
}

bool MountedView::send_back(const Changer& changer) {
    const std::lock_guard lock(mutex_);
    return changer.thread != 0 && sent_back_.size() < kMostSentBack &&
           sent_back_.insert(changer).second;
}

void MountedView::wait_if_sent_back(const Changer& changer) {
    {
        const std::lock_guard lock(mutex_);
        if (!sent_back_.contains(changer)) {
            return;
        }
    }
    try {
        view_.prepare_for_changes();
    } catch (const NotYet&) {
        throw;
    } catch (const std::exception&) {
        // The change itself meets it.
    }
    const std::lock_guard lock(mutex_);
    sent_back_.clear();  // nobody will be any more
}

bool MountedView::is_asked_for(InodeNumber folder) {
    const std::lock_guard lock(mutex_);
    return std::ranges::find(sent_back_, folder, &Changer::folder) != sent_back_.end();
}

void MountedView::open(InodeNumber inode) {
    view_.open(inode);
    const std::lock_guard lock(mutex_);
    ++opened_[inode];
}

void MountedView::close(InodeNumber inode) {
    {
        const std::lock_guard lock(mutex_);
        const auto found = opened_.find(inode);
        if (found == opened_.end()) {
            fail(EBADF, "closed without having been opened");
        }
        if (--found->second == 0) {
            opened_.erase(found);
        }
    }
    view_.close(inode);
}

uint64_t MountedView::open_directory(InodeNumber inode) {
    auto directory = std::make_unique<OpenDirectory>(inode);
    if (!read_only_ && names_changed(inode) == 0) {
        try {
            directory->entries = view_.entries(inode);
        } catch (const std::system_error&) {  // the error is for whoever reads it
        }
    }
    const std::lock_guard lock(mutex_);
    // If still nothing has changed, the list was made before any change.
    directory->kernel_caches =
        read_only_ || (!directory->entries.empty() && names_changed(inode) == 0 &&
                       cached_directories_.insert(inode).second);
    directories_[next_handle_] = std::move(directory);
    return next_handle_++;
}

OpenDirectory& MountedView::directory(uint64_t handle) {
    const std::lock_guard lock(mutex_);
    const auto found = directories_.find(handle);
    if (found == directories_.end()) {
        fail(EBADF, "no such open directory");
    }
    return *found->second;
}

void MountedView::close_directory(uint64_t handle) {
    const std::lock_guard lock(mutex_);
    const auto found = directories_.find(handle);
    if (found == directories_.end()) {
        return;
    }
    if (found->second->kernel_caches) {
        cached_directories_.erase(found->second->inode);
    }
    directories_.erase(found);
}

void MountedView::forget_attributes(fuse_ino_t node) const {
    // Fails if the kernel doesn't know the inode any more, which is as good.
    fuse_lowlevel_notify_inval_inode(session_, node, -1, 0);
}

void MountedView::report(const std::exception& error) {
    const int code = errno_of(error);
    if (code != EIO && code != EUCLEAN && code != ENOMEM && code != EOPNOTSUPP && code != ENOSPC &&
        code != EDQUOT) {
        return;  // the user's own doing, or the answer to a question
    }
    const auto line = message_of(error);
    const std::lock_guard lock(mutex_);
    if (line != last_report_) {
        std::cerr << ("imgfs: " + line + "\n") << std::flush;
        last_report_ = line;
    }
}

std::string_view checked_name(const char* name) {
    const std::string_view checked(name);
    if (checked.size() > 255) {
        fail(ENAMETOOLONG, "a name is longer than 255 bytes");
    }
    return checked;
}

struct stat stat_of(const Attributes& attributes) {
    struct stat result {};
    result.st_ino = attributes.inode;
    result.st_mode = attributes.mode;
    result.st_nlink = attributes.links;
    result.st_uid = attributes.uid;
    result.st_gid = attributes.gid;
    result.st_rdev = attributes.device;
    result.st_size = static_cast<off_t>(attributes.size);
    result.st_blksize = 4096;
    result.st_blocks = static_cast<blkcnt_t>(attributes.sectors);
    result.st_atim = attributes.accessed;
    result.st_mtim = attributes.modified;
    result.st_ctim = attributes.changed;
    return result;
}

fuse_entry_param entry_of(const Attributes& attributes) {
    fuse_entry_param entry{};
    entry.ino = attributes.inode == kRootInode ? FUSE_ROOT_ID : attributes.inode;
    entry.generation = attributes.generation;
    entry.attr = stat_of(attributes);
    entry.attr_timeout = kForever;
    entry.entry_timeout = kForever;
    return entry;
}

}  // namespace imgfs
