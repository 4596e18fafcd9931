// MountedView: what FUSE operations work on, and how they answer.
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <compare>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <set>

#include "fs/base/error.h"
#include "fs/base/not_yet.h"
#include "fs/mount/fuse_api.h"
#include "fs/mount/request_loop.h"
#include "fs/view/view.h"

namespace imgfs {

/// We are the only writer, so that what the kernel knows stays true.
constexpr double kForever = 365.0 * 24 * 3600;

/// The list that an open directory keeps from its first reading on, or from the last rewind: names
/// that are there all the time are returned once, whatever happens to others meanwhile.
struct OpenDirectory {
    explicit OpenDirectory(InodeNumber number) : inode(number) {}

    const InodeNumber inode;
    bool kernel_caches = false;  // as it was opened
    std::mutex mutex;
    std::vector<DirectoryEntry> entries;
    uint64_t names_changed = 0;  // as of the list
    uint64_t start = 0;          // the first entry's offset; offsets of an earlier list lie below
};

/// A thread, as the kernel numbers it, that is about to change a name in a folder.
struct Changer {
    pid_t thread = 0;
    InodeNumber folder = 0;
    auto operator<=>(const Changer&) const = default;
};

/// Safe from any thread.
class MountedView {
  public:
    MountedView(View& view, bool read_only, bool check_permissions)
        : view_(view), read_only_(read_only), check_permissions_(check_permissions) {}
    MountedView(const MountedView&) = delete;
    MountedView& operator=(const MountedView&) = delete;
    ~MountedView();  ///< closes what the kernel has not: it doesn't if the mount is cut off

    View& view() const { return view_; }
    bool read_only() const { return read_only_; }
    bool check_permissions() const { return check_permissions_; }

    /// A number that has changed if a name in the directory may have changed since.
    uint64_t names_changed(InodeNumber directory) const { return changes_of(directory); }
    /// To be called before a name in the directory is changed.
    void name_changes(InodeNumber directory) { ++changes_of(directory); }

    /// A change must wait for an indexing pass. Is its caller to be sent back, to wait where he
    /// holds up nobody? False if he has been, or isn't known.
    bool send_back(const Changer& changer);
    /// Throws NotYet if he was, and would be again.
    void wait_if_sent_back(const Changer& changer);
    /// Was somebody who has still to ask for its attributes? They must not be remembered then.
    bool is_asked_for(InodeNumber folder);

    void open(InodeNumber inode);
    void close(InodeNumber inode);
    /// The handle is good until close_directory(). The kernel's cache of a directory outlives its
    /// handles and is shared by them, but knows entries by their offsets, that is, by places in the
    /// list of one handle. So it is used only while no name has ever changed, when all lists are
    /// the same, and by one handle at a time, which has that list from the start: what changes
    /// later changes nothing for those without the cache, and this one fills it from its own list
    /// only.
    uint64_t open_directory(InodeNumber inode);
    OpenDirectory& directory(uint64_t handle);
    void close_directory(uint64_t handle);

    /// To be called before the first request.
    void set_session(fuse_session* session) { session_ = session; }
    /// The kernel asks again for the inode's attributes. Holds no lock that a request waits for;
    /// the caller doesn't either.
    void forget_attributes(fuse_ino_t node) const;

    /// Writes faults of the image or the delta, and that there is no space, to the log, once for
    /// each in a row.
    void report(const std::exception& error);

  private:
    std::atomic<uint64_t>& changes_of(InodeNumber directory) const {
        return changes_[directory % changes_.size()];
    }

    View& view_;
    const bool read_only_;
    const bool check_permissions_;
    fuse_session* session_ = nullptr;
    mutable std::array<std::atomic<uint64_t>, 1024> changes_{};
    std::mutex mutex_;
    std::string last_report_;
    std::map<InodeNumber, unsigned> opened_;
    std::map<uint64_t, std::unique_ptr<OpenDirectory>> directories_;
    std::set<InodeNumber> cached_directories_;  // by the handle of each that may; unless read_only_
    uint64_t next_handle_ = 1;
    std::set<Changer> sent_back_;
};

inline MountedView& mounted_view(fuse_req_t request) {
    return *static_cast<MountedView*>(fuse_req_userdata(request));
}

inline InodeNumber inode_of(fuse_ino_t node) {
    return node == FUSE_ROOT_ID ? kRootInode : node;
}

/// The name, or ENAMETOOLONG: the kernel lets up to 1,024 bytes through.
std::string_view checked_name(const char* name);

struct stat stat_of(const Attributes& attributes);
fuse_entry_param entry_of(const Attributes& attributes);

/// The border to FUSE: runs an operation on the view, answers its errno if it throws, and puts it
/// aside if that is NotYet. The operation must not throw after it has replied.
template <typename Operation>
void answer(fuse_req_t request, Operation operation) {
    auto& mounted = mounted_view(request);
    try {
        operation(mounted);
    } catch (const NotYet& until) {
        RequestLoop::try_again_after(request, until);
    } catch (const std::exception& error) {
        mounted.report(error);
        // Damage has its place in the log; programs know what to do about EIO.
        const int code = errno_of(error);
        fuse_reply_err(request, code == EUCLEAN ? EIO : code);
    }
}

}  // namespace imgfs
