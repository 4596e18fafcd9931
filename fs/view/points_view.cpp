// Inode numbers: the root is kRootInode; of what is in the folder number n, counted from 1, the
// upper 32 bits are n and the lower 32 are the number in that point's view.
#include "fs/view/points_view.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <list>
#include <mutex>

#include "fs/base/error.h"

namespace imgfs {
namespace {

constexpr unsigned kPointShift = 32;
constexpr size_t kMostOpen = 16;

class PointsView final : public View {
  public:
    PointsView(std::vector<PointFolder> points, OpenPoint open)
        : points_(std::move(points)), open_(std::move(open)), views_(points_.size()) {}

    bool read_only() const override { return true; }

    std::optional<Attributes> lookup(InodeNumber directory, std::string_view name) override {
        if (directory == kRootInode) {
            return lookup_point(name);
        }
        const auto at = place(directory);
        auto found = view(at.point)->lookup(at.inode, name);
        if (found) {
            found->inode = number(at.point, found->inode);
        }
        return found;
    }

    Attributes attributes(InodeNumber inode) override {
        if (inode == kRootInode) {
            return root();
        }
        const auto at = place(inode);
        auto found = view(at.point)->attributes(at.inode);
        found.inode = inode;
        if (at.inode == kRootInode) {
            found.accessed = found.modified = found.changed = points_[at.point].time;
        }
        return found;
    }

    std::string link_target(InodeNumber inode) override {
        check_inside(inode, EINVAL);
        const auto at = place(inode);
        return view(at.point)->link_target(at.inode);
    }

    std::vector<DirectoryEntry> entries(InodeNumber directory) override {
        if (directory == kRootInode) {
            return folders();
        }
        const auto at = place(directory);
        auto found = view(at.point)->entries(at.inode);
        for (auto& entry : found) {
            const bool is_way_out = at.inode == kRootInode && entry.name == "..";
            entry.inode = is_way_out ? kRootInode : number(at.point, entry.inode);
        }
        return found;
    }

    /// Of the newest point.
    Space space() override { return points_.empty() ? Space{} : view(points_.size() - 1)->space(); }

    /// Nothing changes: whoever is there stays, open or not.
    void open(InodeNumber inode) override { attributes(inode); }
    void close(InodeNumber) override {}
    size_t read(InodeNumber inode, uint64_t offset, ByteSpan out) override {
        check_inside(inode, EISDIR);
        const auto at = place(inode);
        return view(at.point)->read(at.inode, offset, out);
    }

    std::optional<Bytes> xattr(InodeNumber inode, const std::string& name) override {
        if (inode == kRootInode) {
            return std::nullopt;
        }
        const auto at = place(inode);
        return view(at.point)->xattr(at.inode, name);
    }
    std::vector<std::string> xattr_names(InodeNumber inode) override {
        if (inode == kRootInode) {
            return {};
        }
        const auto at = place(inode);
        return view(at.point)->xattr_names(at.inode);
    }

  private:
    struct Place {
        size_t point = 0;
        InodeNumber inode = 0;  ///< in its view
    };

    static InodeNumber number(size_t point, InodeNumber inode) {
        if (inode >> kPointShift != 0) {
            fail(EOVERFLOW, "inode " + std::to_string(inode) + " has more than 32 bits");
        }
        return InodeNumber{point + 1} << kPointShift | inode;
    }

    Place place(InodeNumber inode) const {
        const auto point = inode >> kPointShift;
        if (point == 0 || point > points_.size()) {
            fail(ESTALE, "no recovery point has an inode " + std::to_string(inode));
        }
        return {static_cast<size_t>(point - 1), inode & UINT32_MAX};
    }

    static void check_inside(InodeNumber inode, int code) {
        if (inode == kRootInode) {
            fail(code, "the folder of the recovery points");
        }
    }

    Attributes root() const {
        const auto time = points_.empty() ? timespec{} : points_.back().time;
        return {.inode = kRootInode,
                .mode = S_IFDIR | 0555,
                .links = static_cast<uint32_t>(2 + points_.size()),
                .uid = ::getuid(),
                .gid = ::getgid(),
                .accessed = time,
                .modified = time,
                .changed = time};
    }

    std::optional<Attributes> lookup_point(std::string_view name) {
        if (name.size() > 255) {
            fail(ENAMETOOLONG, "a name has at most 255 bytes");
        }
        const auto found = std::ranges::find(points_, name, &PointFolder::name);
        if (found == points_.end()) {
            return std::nullopt;
        }
        return attributes(number(static_cast<size_t>(found - points_.begin()), kRootInode));
    }

    std::vector<DirectoryEntry> folders() const {
        std::vector<DirectoryEntry> all = {{kRootInode, S_IFDIR, "."}, {kRootInode, S_IFDIR, ".."}};
        for (size_t point = 0; point < points_.size(); ++point) {
            all.push_back({number(point, kRootInode), S_IFDIR, points_[point].name});
        }
        return all;
    }

    std::shared_ptr<View> view(size_t point) {
        if (auto known = open_view(point)) {
            return known;
        }
        const std::lock_guard opening(opening_);
        if (auto known = open_view(point)) {
            return known;  // another thread was faster
        }
        auto opened = open_(point);
        const std::lock_guard lock(mutex_);
        views_[point] = opened;
        recent_.push_front(point);
        if (recent_.size() > kMostOpen) {
            views_[recent_.back()].reset();
            recent_.pop_back();
        }
        return opened;
    }

    std::shared_ptr<View> open_view(size_t point) {
        const std::lock_guard lock(mutex_);
        if (views_[point]) {
            recent_.splice(recent_.begin(), recent_, std::ranges::find(recent_, point));
        }
        return views_[point];
    }

    const std::vector<PointFolder> points_;
    const OpenPoint open_;

    std::mutex opening_;  // held while a view is opened; taken before mutex_

    std::mutex mutex_;
    std::vector<std::shared_ptr<View>> views_;  // by point; null: not open
    std::list<size_t> recent_;                  // those that are open, the one used last in front
};

}  // namespace

std::unique_ptr<View> make_points_view(std::vector<PointFolder> points, OpenPoint open) {
    return std::make_unique<PointsView>(std::move(points), std::move(open));
}

}  // namespace imgfs
