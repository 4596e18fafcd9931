#include "fs/view/raw_view.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <optional>

#include "fs/base/error.h"
#include "fs/view/commit_gate.h"

namespace imgfs {
namespace {

constexpr InodeNumber kFileInode = 3;
constexpr const char* kFileName = "partition";
constexpr size_t kPieceOfAWrite = 4 * kMiB;
constexpr uint64_t kSector = 512;

timespec now() {
    timespec time{};
    ::clock_gettime(CLOCK_REALTIME, &time);
    return time;
}

class RawView final : public View {
  public:
    RawView(Device& device, ViewAccess access) : device_(device) {
        if (access == ViewAccess::read_write) {
            committer_.emplace(device, [] {});  // whatever is written is in the device
        }
    }
    ~RawView() override {
        try {
            commit();
        } catch (const std::exception&) {
            // Who wanted to know has called commit().
        }
    }

    bool read_only() const override { return !committer_ || device_.read_only(); }

    std::optional<Attributes> lookup(InodeNumber directory, std::string_view name) override {
        if (name.size() > 255) {
            fail(ENAMETOOLONG, "a name has at most 255 bytes");
        }
        check_directory(directory);
        return name == kFileName ? std::optional(attributes(kFileInode)) : std::nullopt;
    }

    Attributes attributes(InodeNumber inode) override {
        Attributes common{.inode = inode,
                          .uid = ::getuid(),
                          .gid = ::getgid(),
                          .accessed = start_,
                          .modified = start_,
                          .changed = start_};
        if (inode == kRootInode) {
            common.mode = S_IFDIR | 0700;
            common.links = 2;
        } else if (inode == kFileInode) {
            common.mode = S_IFREG | (committer_ ? 0600 : 0400);
            common.links = 1;
            common.size = device_.size();
            common.sectors = device_.size() / kSector;
        } else {
            fail(ESTALE, "the raw view has no inode " + std::to_string(inode));
        }
        return common;
    }

    std::string link_target(InodeNumber) override { fail(EINVAL, "not a symbolic link"); }

    std::vector<DirectoryEntry> entries(InodeNumber directory) override {
        check_directory(directory);
        return {{kRootInode, S_IFDIR, "."},
                {kRootInode, S_IFDIR, ".."},
                {kFileInode, S_IFREG, kFileName}};
    }

    Space space() override {
        constexpr uint64_t kBlock = 4096;
        return {.block_size = kBlock, .blocks = device_.size() / kBlock, .inodes = 1};
    }

    void open(InodeNumber inode) override { attributes(inode); }
    void close(InodeNumber) override {}

    size_t read(InodeNumber inode, uint64_t offset, ByteSpan out) override {
        check_file(inode);
        if (offset >= device_.size()) {
            return 0;
        }
        const auto inside = out.first(std::min<uint64_t>(out.size(), device_.size() - offset));
        device_.read(offset, inside);
        return inside.size();
    }

    std::optional<Bytes> xattr(InodeNumber, const std::string&) override { return std::nullopt; }
    std::vector<std::string> xattr_names(InodeNumber) override { return {}; }

    void write(InodeNumber inode, uint64_t offset, ConstByteSpan bytes) override {
        check_file(inode);
        check_writable();
        device_.settle();  // before anything is locked or reserved: it may throw NotYet
        if (offset > device_.size() || bytes.size() > device_.size() - offset) {
            fail(ENOSPC, "the partition ends at byte " + std::to_string(device_.size()));
        }
        while (!bytes.empty()) {
            const auto piece = bytes.first(std::min(bytes.size(), kPieceOfAWrite));
            const Committer::Change change(*committer_, piece.size());
            device_.write(offset, piece);
            offset += piece.size();
            bytes = bytes.subspan(piece.size());
        }
    }

    /// Times, modes and owners of the file are not kept anywhere: nothing to do for those who
    /// touch it.
    Attributes change(InodeNumber inode, const AttributeChanges& changes) override {
        check_writable();
        const auto present = attributes(inode);
        if (changes.size && *changes.size != present.size) {
            fail(EPERM, "the partition's size can't be changed");
        }
        return present;
    }

    Attributes make(InodeNumber, const NewFile&) override { refuse_names(); }
    Attributes link(InodeNumber, InodeNumber, std::string_view) override { refuse_names(); }
    void unlink(InodeNumber, std::string_view) override { refuse_names(); }
    void rmdir(InodeNumber, std::string_view) override { refuse_names(); }
    void rename(InodeNumber, std::string_view, InodeNumber, std::string_view, RenameMode) override {
        refuse_names();
    }
    void set_xattr(InodeNumber, const std::string&, ConstByteSpan, XattrMode) override {
        fail(ENOTSUP, "the raw view has no attributes");
    }
    void remove_xattr(InodeNumber, const std::string&) override {
        fail(ENOTSUP, "the raw view has no attributes");
    }

    void commit() override {
        if (committer_) {
            committer_->commit();
        }
    }
    std::string failure() const override { return committer_ ? committer_->failure() : ""; }

  private:
    void check_writable() const {
        if (!committer_) {
            fail(EROFS, "the partition is mounted read-only");
        }
    }
    [[noreturn]] void refuse_names() const {
        check_writable();
        fail(EPERM, "the raw view has one file and no others");
    }
    static void check_directory(InodeNumber inode) {
        if (inode != kRootInode) {
            fail(ENOTDIR, "not a directory");
        }
    }
    static void check_file(InodeNumber inode) {
        if (inode != kFileInode) {
            fail(inode == kRootInode ? EISDIR : ESTALE, "not the partition");
        }
    }

    Device& device_;
    const timespec start_ = now();
    std::optional<Committer> committer_;
};

}  // namespace

std::unique_ptr<View> make_raw_view(Device& device, ViewAccess access) {
    return std::make_unique<RawView>(device, access);
}

}  // namespace imgfs
