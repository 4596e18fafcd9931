// A tree of files in memory for tests: a whole View, without blocks. Commits are counted.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <mutex>

#include "fs/view/view.h"

namespace imgfs {

class MemoryView : public View {
  public:
    /// The root directory belongs to `uid`.
    explicit MemoryView(uint32_t uid = 0);

    bool read_only() const override { return read_only_; }
    std::optional<Attributes> lookup(InodeNumber directory, std::string_view name) override;
    Attributes attributes(InodeNumber inode) override;
    std::string link_target(InodeNumber inode) override;
    std::vector<DirectoryEntry> entries(InodeNumber directory) override;
    Space space() override;
    void open(InodeNumber inode) override;
    void close(InodeNumber inode) override;
    size_t read(InodeNumber inode, uint64_t offset, ByteSpan out) override;
    std::optional<Bytes> xattr(InodeNumber inode, const std::string& name) override;
    std::vector<std::string> xattr_names(InodeNumber inode) override;
    void write(InodeNumber inode, uint64_t offset, ConstByteSpan bytes) override;
    Attributes change(InodeNumber inode, const AttributeChanges& changes) override;
    Attributes make(InodeNumber directory, const NewFile& file) override;
    Attributes link(InodeNumber inode, InodeNumber directory, std::string_view name) override;
    void unlink(InodeNumber directory, std::string_view name) override;
    void rmdir(InodeNumber directory, std::string_view name) override;
    void rename(InodeNumber directory, std::string_view name, InodeNumber new_directory,
                std::string_view new_name, RenameMode mode) override;
    void set_xattr(InodeNumber inode, const std::string& name, ConstByteSpan value,
                   XattrMode mode) override;
    void remove_xattr(InodeNumber inode, const std::string& name) override;
    void commit() override;
    std::string failure() const override {
        const std::lock_guard lock(mutex_);
        return failure_;
    }

    void make_read_only() { read_only_ = true; }  ///< before it is served
    /// Called at each commit; what it throws, the commit throws.
    void on_commit(std::function<void()> action);

    int commits() const { return commits_; }
    /// Files that exist, those included that are only held open; the root is one.
    size_t inodes() const;

  private:
    struct Node {
        Attributes attributes;
        Bytes content;
        std::string link_target;
        InodeNumber parent = 0;  // of a directory
        std::map<std::string, InodeNumber, std::less<>> names;
        std::map<std::string, Bytes> xattrs;
        unsigned opened = 0;
    };

    Node& node(InodeNumber inode);
    Node& directory(InodeNumber inode);
    void check_writable() const;
    void touch(Node& changed);
    void follow_acl(Node& changed, ConstByteSpan acl);
    void drop_link(InodeNumber inode);
    void forget_if_unused(InodeNumber inode);
    void resize(Node& file, uint64_t size);
    void remove_name(Node& directory, std::string_view name);
    void replace_target(Node& directory, std::string_view name, const Node& moved);

    bool read_only_ = false;
    std::atomic<int> commits_ = 0;

    mutable std::mutex mutex_;
    std::function<void()> on_commit_;
    std::string failure_;
    std::map<InodeNumber, Node> nodes_;
    InodeNumber next_inode_ = 11;
    uint32_t next_generation_ = 1;
};

}  // namespace imgfs
