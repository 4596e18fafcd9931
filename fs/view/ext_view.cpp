#include "fs/view/ext_view.h"

#include <cerrno>
#include <shared_mutex>

#include "fs/base/error.h"
#include "fs/view/ext_tree.h"
#include "fs/view/file_data.h"
#include "fs/view/orphans.h"

namespace imgfs {
namespace {

class ExtView final : public View {
  public:
    explicit ExtView(Device& device) : fs_(device, ViewAccess::read_only), orphans_(fs_) {
        restart();
    }

    bool read_only() const override {
        const std::shared_lock state(state_);
        return true;
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
            orphans_.open(number_of(inode));
        });
    }
    void close(InodeNumber inode) override {
        reading([&] { orphans_.close(number_of(inode)); });
    }
    size_t read(InodeNumber inode, uint64_t offset, ByteSpan out) override {
        const std::shared_lock state(state_);
        return data_->read(number_of(inode), offset, out);
    }

  private:
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

    void restart() {
        data_ = std::make_unique<FileData>(fs_);
        tree_ = std::make_unique<ExtTree>(fs_);
    }

    mutable std::shared_mutex state_;  // held alone while everything goes back to the last commit
    ExtFilesystem fs_;
    std::unique_ptr<FileData> data_;
    std::unique_ptr<ExtTree> tree_;  // guarded by fs_.mutex()
    Orphans orphans_;                // guarded by fs_.mutex()
};

}  // namespace

std::unique_ptr<View> make_ext_view(Device& device, ViewAccess) {
    return std::make_unique<ExtView>(device);
}

}  // namespace imgfs
