// A tree in memory that a View must agree with, operation by operation.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <memory>
#include <random>
#include <set>

#include "tests/fs/view/view_model_node.h"
#include "tests/support/memory_source.h"
#include "tests/support/view_listing.h"

namespace imgfs {

constexpr size_t kNameShown = 40;

/// A view, the model, and operations that do the same to both and compare what they say.
class Model {
  public:
    Model(View& view, uint64_t seed) : view_(view), random_(seed) {
        root_->mode = S_IFDIR | 0755;
        root_->inode = kRootInode;
        directories_.push_back(root_);
    }

    void step() {
        using Step = void (Model::*)();
        constexpr Step kSteps[] = {
            &Model::make,      &Model::make,         &Model::make,   &Model::write,
            &Model::write,     &Model::resize,       &Model::unlink, &Model::rmdir,
            &Model::rename,    &Model::rename,       &Model::link,   &Model::chmod,
            &Model::set_xattr, &Model::remove_xattr, &Model::open,   &Model::close};
        (this->*kSteps[pick(16)])();
    }

    void delete_an_open_file() {
        const std::string name = "about to be deleted";
        auto node = std::make_shared<Node>();
        node->mode = S_IFREG | 0600;
        node->content = noise(pick(100000), random_());
        node->inode = view_.make(kRootInode, {.name = name, .mode = node->mode}).inode;
        view_.write(node->inode, 0, node->content);
        view_.open(node->inode);
        view_.unlink(kRootInode, name);
        node->links = 0;
        opened_.push_back(node);
    }

    void compare() {
        compare(*root_, "");
        for (const NodePointer& node : opened_) {
            compare_file(*node, "an open file");
        }
    }

    void close_all() {
        while (!opened_.empty()) {
            close();
        }
    }

    size_t deleted_and_open() const {
        return static_cast<size_t>(
            std::ranges::count_if(opened_, [](const auto& node) { return node->links == 0; }));
    }

  private:
    struct Place {
        NodePointer directory;
        std::string name;

        NodePointer node() const {
            const auto found = directory->names.find(name);
            return found == directory->names.end() ? nullptr : found->second;
        }
    };

    size_t pick(size_t count) {
        return std::uniform_int_distribution<size_t>(0, count - 1)(random_);
    }

    Place place() {
        const NodePointer directory = directories_[pick(directories_.size())];
        std::string name = "n" + std::to_string(pick(12));
        if (pick(4) == 0) {
            name += std::string(pick(250), 'x');
        }
        return {directory, name};
    }

    NodePointer file() {
        std::vector<NodePointer> files;
        for (const NodePointer& directory : directories_) {
            for (const auto& [name, node] : directory->names) {
                if (S_ISREG(node->mode)) {
                    files.push_back(node);
                }
            }
        }
        files.insert(files.end(), opened_.begin(), opened_.end());
        return files.empty() ? nullptr : files[pick(files.size())];
    }

    /// Does `work` to the view; it must fail with `expected`, or succeed if that is 0.
    template <typename Work>
    bool agree(int expected, const std::string& what, Work work) {
        try {
            work();
            EXPECT_EQ(expected, 0) << what << " should have failed";
            return true;
        } catch (const std::system_error& error) {
            EXPECT_EQ(error.code().value(), expected) << what << ": " << error.what();
            return false;
        }
    }

    void make() {
        const Place at = place();
        constexpr uint32_t kKinds[] = {S_IFREG, S_IFREG, S_IFREG, S_IFDIR,
                                       S_IFLNK, S_IFIFO, S_IFCHR};
        auto made = std::make_shared<Node>();
        made->mode = kKinds[pick(std::size(kKinds))] | static_cast<uint32_t>(pick(01000));
        made->uid = static_cast<uint32_t>(pick(100000));
        made->gid = static_cast<uint32_t>(pick(100000));
        if (S_ISLNK(made->mode)) {
            made->link_target = std::string(1 + pick(300), 't');
            made->mode = S_IFLNK | 0777;
        }
        const int expected = at.node() ? EEXIST : 0;
        const bool done = agree(expected, "make " + at.name, [&] {
            const auto said = view_.make(at.directory->inode,
                                         {.name = at.name,
                                          .mode = made->mode,
                                          .uid = made->uid,
                                          .gid = made->gid,
                                          .device = S_ISCHR(made->mode) ? uint64_t{0x123} : 0,
                                          .link_target = made->link_target});
            made->inode = said.inode;
            if ((at.directory->mode & S_ISGID) != 0) {
                made->gid = at.directory->gid;
                made->mode |= made->is_directory() ? S_ISGID : 0;
            }
            EXPECT_EQ(said.mode, made->mode);
        });
        if (done) {
            at.directory->names[at.name] = made;
            if (made->is_directory()) {
                made->parent = at.directory.get();
                made->links = 2;
                ++at.directory->links;
                directories_.push_back(made);
            }
        }
    }

    void write() {
        const NodePointer node = file();
        if (!node) {
            return;
        }
        const size_t offset = pick(40000);
        const Bytes data = noise(1 + pick(9000), random_());
        view_.write(node->inode, offset, data);
        node->content.resize(std::max(node->content.size(), offset + data.size()));
        std::ranges::copy(data, node->content.begin() + static_cast<ptrdiff_t>(offset));
    }

    void resize() {
        const NodePointer node = file();
        if (!node) {
            return;
        }
        const size_t size = pick(60000);
        EXPECT_EQ(view_.change(node->inode, {.size = size}).size, size);
        node->content.resize(size);
    }

    void unlink() {
        const Place at = place();
        const NodePointer node = at.node();
        const int expected = !node ? ENOENT : node->is_directory() ? EISDIR : 0;
        if (agree(expected, "unlink " + at.name,
                  [&] { view_.unlink(at.directory->inode, at.name); })) {
            at.directory->names.erase(at.name);
            --node->links;
        }
    }

    void rmdir() {
        const Place at = place();
        const NodePointer node = at.node();
        const int expected = !node                   ? ENOENT
                             : !node->is_directory() ? ENOTDIR
                             : !node->names.empty()  ? ENOTEMPTY
                                                     : 0;
        if (agree(expected, "rmdir " + at.name,
                  [&] { view_.rmdir(at.directory->inode, at.name); })) {
            at.directory->names.erase(at.name);
            drop_directory(*node);
        }
    }

    void drop_directory(Node& node) {
        --node.parent->links;
        std::erase_if(directories_, [&](const auto& known) { return known.get() == &node; });
    }

    static bool is_inside(const Node* node, const Node& directory) {
        for (; node != nullptr; node = node->parent) {
            if (node == &directory) {
                return true;
            }
        }
        return false;
    }

    int rename_error(const NodePointer& moved, const Place& to, bool no_replace) {
        const NodePointer replaced = to.node();
        if (!moved) {
            return ENOENT;
        }
        if (replaced && no_replace) {
            return EEXIST;
        }
        if (replaced == moved) {
            return 0;
        }
        if (replaced && moved->is_directory() != replaced->is_directory()) {
            return moved->is_directory() ? ENOTDIR : EISDIR;
        }
        if (moved->is_directory() && is_inside(to.directory.get(), *moved)) {
            return EINVAL;
        }
        return replaced && replaced->is_directory() && !replaced->names.empty() ? ENOTEMPTY : 0;
    }

    void rename() {
        const Place from = place();
        const Place to = place();
        const NodePointer moved = from.node();
        const NodePointer replaced = to.node();
        const bool no_replace = pick(4) == 0;
        const bool done =
            agree(rename_error(moved, to, no_replace), "rename " + from.name + " " + to.name, [&] {
                view_.rename(from.directory->inode, from.name, to.directory->inode, to.name,
                             no_replace ? RenameMode::no_replace : RenameMode::replace);
            });
        if (!done || replaced == moved) {
            return;
        }
        if (replaced && replaced->is_directory()) {
            drop_directory(*replaced);
        } else if (replaced) {
            --replaced->links;
        }
        from.directory->names.erase(from.name);
        to.directory->names[to.name] = moved;
        if (moved->is_directory()) {
            --moved->parent->links;
            moved->parent = to.directory.get();
            ++moved->parent->links;
        }
    }

    void link() {
        const Place from = place();
        const Place to = place();
        const NodePointer node = from.node();
        if (!node) {
            return;
        }
        const int expected = to.node() ? EEXIST : node->is_directory() ? EPERM : 0;
        if (agree(expected, "link " + to.name,
                  [&] { view_.link(node->inode, to.directory->inode, to.name); })) {
            to.directory->names[to.name] = node;
            ++node->links;
        }
    }

    void chmod() {
        const NodePointer node = place().node();
        if (!node || S_ISLNK(node->mode)) {
            return;
        }
        const auto bits = static_cast<uint32_t>(pick(010000));
        node->uid = static_cast<uint32_t>(pick(100000));
        view_.change(node->inode, {.mode = bits, .uid = node->uid});
        node->mode = (node->mode & S_IFMT) | bits;
    }

    void set_xattr() {
        const NodePointer node = file();
        if (!node || node->links == 0) {
            return;
        }
        const std::string name = "user.x" + std::to_string(pick(4));
        const Bytes value = noise(pick(200), random_());
        const bool there = node->xattrs.contains(name);
        const auto mode = static_cast<XattrMode>(pick(3));
        const int expected = mode == XattrMode::create && there     ? EEXIST
                             : mode == XattrMode::replace && !there ? ENODATA
                                                                    : 0;
        if (agree(expected, "set " + name,
                  [&] { view_.set_xattr(node->inode, name, value, mode); })) {
            node->xattrs[name] = value;
        }
    }

    void remove_xattr() {
        const NodePointer node = file();
        if (!node || node->links == 0) {
            return;
        }
        const std::string name = "user.x" + std::to_string(pick(4));
        const int expected = node->xattrs.contains(name) ? 0 : ENODATA;
        agree(expected, "remove " + name, [&] { view_.remove_xattr(node->inode, name); });
        node->xattrs.erase(name);
    }

    void open() {
        const NodePointer node = file();
        if (node) {
            view_.open(node->inode);
            opened_.push_back(node);
        }
    }

    void close() {
        if (!opened_.empty()) {
            const auto which = opened_.begin() + static_cast<ptrdiff_t>(pick(opened_.size()));
            view_.close((*which)->inode);
            opened_.erase(which);
        }
    }

    void compare_file(const Node& node, const std::string& path) {
        const auto said = view_.attributes(node.inode);
        EXPECT_EQ(said.links, static_cast<uint32_t>(node.links)) << path;
        EXPECT_EQ(said.mode, node.mode) << path;
        EXPECT_EQ(said.uid, node.uid) << path;
        EXPECT_EQ(said.gid, node.gid) << path;
        if (S_ISREG(node.mode)) {
            EXPECT_TRUE(content_of(view_, node.inode) == node.content) << path;
        } else if (S_ISLNK(node.mode)) {
            EXPECT_EQ(view_.link_target(node.inode), node.link_target) << path;
        }
        if (node.links > 0) {
            auto names = view_.xattr_names(node.inode);
            EXPECT_EQ(names.size(), node.xattrs.size()) << path;
            for (const auto& [name, value] : node.xattrs) {
                EXPECT_TRUE(view_.xattr(node.inode, name) == value) << path << " " << name;
            }
        }
    }

    void compare(const Node& directory, const std::string& path) {
        std::set<std::string> names;
        for (const auto& entry : view_.entries(directory.inode)) {
            if (entry.name != "." && entry.name != ".." && entry.name != "lost+found") {
                names.insert(entry.name);
            }
        }
        EXPECT_EQ(names.size(), directory.names.size()) << path;
        for (const auto& [name, node] : directory.names) {
            const std::string below = path + "/" + name.substr(0, kNameShown);
            const auto found = view_.lookup(directory.inode, name);
            ASSERT_TRUE(found) << below;
            EXPECT_EQ(found->inode, node->inode) << below;
            compare_file(*node, below);
            if (node->is_directory()) {
                compare(*node, below);
            }
        }
    }

    View& view_;
    std::mt19937_64 random_;
    NodePointer root_ = std::make_shared<Node>();
    std::vector<NodePointer> directories_;
    std::vector<NodePointer> opened_;
};

}  // namespace imgfs
