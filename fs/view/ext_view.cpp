#include "fs/view/ext_view.h"

#include <algorithm>
#include <cerrno>
#include <shared_mutex>

#include "fs/base/error.h"
#include "fs/view/commit_gate.h"
#include "fs/view/ext_tree.h"
#include "fs/view/file_data.h"
#include "fs/view/half_done.h"
#include "fs/view/orphans.h"

namespace imgfs {
namespace {

constexpr uint64_t kBlocksOfAChange = 64;  // of metadata, bitmaps not counted
constexpr size_t kPieceOfAWrite = 4 * kMiB;

/// Locks are taken in this order: commit gate, state_, an inode's lock (FileData), fs_.mutex().
class ExtView final : public View {
  public:
    ExtView(Device& device, ViewAccess access) : fs_(device, access), orphans_(fs_) {
        restart();
        if (access == ViewAccess::read_write) {
            committer_.emplace(
                device, [this] { prepare_commit(); },
                CommitterOptions{.prepare_bytes = [this] { return fs_.flush_bytes(); },
                                 .after_cut = [this] { after_cut(); },
                                 .go_back = [this] { go_back(); }});
        }
    }

    ~ExtView() override {
        try {
            commit();  // deleted files are free in it, open or not
        } catch (const std::exception&) {
            // Who wanted to know has called commit().
        }
    }

    bool read_only() const override {
        const std::shared_lock state(state_);
        return fs_.read_only();
    }

    std::optional<Attributes> lookup(InodeNumber directory, std::string_view name) override {
        return reading([&] { return tree_->lookup({number_of(directory), name}); });
    }
    Attributes attributes(InodeNumber inode) override {
        return reading([&] { return tree_->attributes(number_of(inode)); });
    }
    std::string link_target(InodeNumber inode) override {
        return reading([&] { return tree_->link_target(number_of(inode)); });
    }
    std::vector<DirectoryEntry> entries(InodeNumber directory) override {
        return reading([&] { return tree_->entries(number_of(directory)); });
    }
    Space space() override {
        return reading([&] { return tree_->space(); });
    }
    std::optional<Bytes> xattr(InodeNumber inode, const std::string& name) override {
        return reading([&] { return tree_->xattr(number_of(inode), name); });
    }
    std::vector<std::string> xattr_names(InodeNumber inode) override {
        return reading([&] { return tree_->xattr_names(number_of(inode)); });
    }

    void open(InodeNumber inode) override {
        reading([&] {
            tree_->inode(number_of(inode));
            if (!orphans_.open(number_of(inode))) {
                fail(ESTALE, "inode " + std::to_string(inode) + " has just been deleted");
            }
        });
    }
    void close(InodeNumber inode) override;
    size_t read(InodeNumber inode, uint64_t offset, ByteSpan out) override {
        const std::shared_lock state(state_);
        return data_->read(number_of(inode), offset, out);
    }

    void prepare_for_changes() override {
        if (committer_) {
            fs_.prepare_for_changes();
        }
    }
    void write(InodeNumber inode, uint64_t offset, ConstByteSpan bytes) override;
    Attributes change(InodeNumber inode, const AttributeChanges& changes) override;
    Attributes make(InodeNumber directory, const NewFile& file) override {
        return changing_tree([&] { return tree_->make(number_of(directory), file); });
    }
    Attributes link(InodeNumber inode, InodeNumber directory, std::string_view name) override {
        return changing_tree([&] {
            return tree_->link(number_of(inode), {number_of(directory), name});
        });
    }
    void unlink(InodeNumber directory, std::string_view name) override {
        removing([&] { return tree_->unlink({number_of(directory), name}); });
    }
    void rmdir(InodeNumber directory, std::string_view name) override {
        removing([&] { return tree_->rmdir({number_of(directory), name}); });
    }
    void rename(InodeNumber directory, std::string_view name, InodeNumber new_directory,
                std::string_view new_name, RenameMode mode) override {
        removing([&] {
            return tree_->rename({number_of(directory), name}, {number_of(new_directory), new_name},
                                 mode);
        });
    }
    void set_xattr(InodeNumber inode, const std::string& name, ConstByteSpan value,
                   XattrMode mode) override {
        changing_tree([&] { tree_->set_xattr(number_of(inode), name, value, mode); });
    }
    void remove_xattr(InodeNumber inode, const std::string& name) override {
        changing_tree([&] { tree_->remove_xattr(number_of(inode), name); });
    }
    void commit() override {
        if (committer_) {
            committer_->commit();
        }
    }
    std::string failure() const override { return committer_ ? committer_->failure() : ""; }

  private:
    /// What an operation has done so far; it is undone if it fails after `begun`.
    struct Progress {
        bool begun = false;
    };

    static ext2_ino_t number_of(InodeNumber inode) {
        if (inode > UINT32_MAX) {
            fail(ESTALE, "inode " + std::to_string(inode) + " is not one of ext's");
        }
        return static_cast<ext2_ino_t>(inode);
    }

    template <typename Work>
    std::invoke_result_t<Work> reading(Work work) {
        const std::shared_lock state(state_);
        const std::lock_guard lock(fs_.mutex());
        return work();
    }

    template <typename Work>
    std::invoke_result_t<Work, Progress&> changing(uint64_t bytes, Work work) {
        if (!committer_) {
            fail(EROFS, "the file system is mounted read-only");
        }
        fs_.prepare_for_changes();  // before anything is locked or reserved: it may throw NotYet
        Committer::Change change(*committer_,
                                 bytes + kBlocksOfAChange * fs_.block_size() + fs_.flush_bytes());
        Progress progress;
        try {
            const std::shared_lock state(state_);
            return work(progress);
        } catch (const std::exception& error) {
            if (progress.begun) {
                change.abandon(message_of(error));
            }
            throw;
        }
    }

    template <typename Work>
    std::invoke_result_t<Work> locked(Progress& progress, Work work) {
        const std::lock_guard lock(fs_.mutex());
        tree_->take_changed();
        try {
            return work();
        } catch (...) {
            progress.begun = progress.begun || tree_->take_changed();
            throw;
        }
    }

    template <typename Work>
    std::invoke_result_t<Work> changing_tree(Work work) {
        return changing(0, [&](Progress& progress) { return locked(progress, work); });
    }

    template <typename Work>
    void with_data(Progress& progress, Work work) {
        try {
            work();
        } catch (const HalfDone&) {
            progress.begun = true;
            throw;
        }
    }

    /// `work` returns the inode that lost its last name, or 0.
    template <typename Work>
    void removing(Work work) {
        changing(0, [&](Progress& progress) {
            const ext2_ino_t nameless = locked(progress, [&] {
                const ext2_ino_t number = work();
                return number != 0 && orphans_.add(number) ? 0 : number;
            });
            if (nameless != 0) {
                release(progress, nameless);
            }
        });
    }

    void release(Progress& progress, ext2_ino_t number);
    void prepare_commit();
    void after_cut();
    void go_back();

    void restart() {
        data_ = std::make_unique<FileData>(fs_);
        tree_ = std::make_unique<ExtTree>(fs_);
    }

    mutable std::shared_mutex state_;  // held alone while everything goes back to the last commit
    ExtFilesystem fs_;
    std::unique_ptr<FileData> data_;
    std::unique_ptr<ExtTree> tree_;                 // guarded by fs_.mutex()
    Orphans orphans_;                               // guarded by fs_.mutex()
    std::unique_lock<std::mutex> held_for_commit_;  // of fs_.mutex(); used by a commit alone
    std::optional<Committer> committer_;
};

void ExtView::close(InodeNumber inode) {
    const ext2_ino_t number = number_of(inode);
    if (reading([&] { return orphans_.close(number); })) {
        try {
            changing(0, [&](Progress& progress) { release(progress, number); });
        } catch (const std::exception&) {
            // It is free in every commit all the same; what went wrong, the next change will say.
        }
    }
}

void ExtView::write(InodeNumber inode, uint64_t offset, ConstByteSpan bytes) {
    for (size_t done = 0; done < bytes.size();
         done += std::min(kPieceOfAWrite, bytes.size() - done)) {
        const auto piece = bytes.subspan(done, std::min(kPieceOfAWrite, bytes.size() - done));
        changing(piece.size(), [&](Progress& progress) {
            locked(progress, [&] { tree_->check_writable(number_of(inode)); });
            with_data(progress, [&] { data_->write(number_of(inode), offset + done, piece); });
        });
    }
}

Attributes ExtView::change(InodeNumber inode, const AttributeChanges& changes) {
    const ext2_ino_t number = number_of(inode);
    return changing(0, [&](Progress& progress) {
        if (changes.size) {
            locked(progress, [&] { tree_->check_writable(number); });
            with_data(progress, [&] { data_->resize(number, *changes.size); });
        }
        return locked(progress, [&] { return tree_->change(number, changes); });
    });
}

/// Waits for whoever reads or writes the file.
void ExtView::release(Progress& progress, ext2_ino_t number) {
    progress.begun = true;
    const bool has_data =
        locked(progress, [&] { return LINUX_S_ISREG(tree_->inode(number).i_mode) != 0; });
    if (has_data) {
        data_->resize(number, 0);
    }
    locked(progress, [&] {
        tree_->release(number);
        orphans_.remove(number);
    });
    data_->forget(number);
}

void ExtView::prepare_commit() {
    std::unique_lock lock(fs_.mutex());
    try {
        orphans_.hide();
        fs_.flush();
    } catch (...) {
        orphans_.show();
        throw;
    }
    held_for_commit_ = std::move(lock);  // nobody may see the deleted files hidden
}

void ExtView::after_cut() {
    const auto lock = std::move(held_for_commit_);
    orphans_.show();
}

/// The device shows the last commit, and is read-only. Whoever reads has to wait.
void ExtView::go_back() {
    const std::unique_lock state(state_);
    const std::lock_guard lock(fs_.mutex());
    orphans_.forget_all();
    fs_.reopen_read_only();
    restart();
}

}  // namespace

std::unique_ptr<View> make_ext_view(Device& device, ViewAccess access) {
    return std::make_unique<ExtView>(device, access);
}

}  // namespace imgfs
