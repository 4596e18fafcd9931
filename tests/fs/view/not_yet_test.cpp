// Views of a partition through which an indexing pass still has to go.
#include <gtest/gtest.h>

#include <cerrno>
#include <functional>
#include <sstream>
#include <thread>

#include "fs/base/error.h"
#include "fs/view/raw_view.h"
#include "tests/support/ext_image.h"
#include "tests/support/gated_device.h"
#include "tests/support/memory_device.h"
#include "tests/support/memory_source.h"
#include "tests/support/thrown.h"
#include "tests/support/view_listing.h"

namespace imgfs {
namespace {

constexpr uint64_t kGroup = 2 * kMiB;

/// Each group's bitmaps and inodes lie in the group.
Bytes make_partition() {
    return make_ext_image(
        {.options = "-t ext4 -b 1024 -g 2048 -O ^flex_bg,^resize_inode,^has_journal -N 200",
         .size = 2 * kGroup});
}

std::string described(const Attributes& found) {
    std::ostringstream text;
    text << found.inode << ' ' << std::oct << found.mode << std::dec << ' ' << found.links << ' '
         << found.uid << ' ' << found.size;
    return text.str();
}

/// All there is, but for the times.
std::string state_of(View& view, InodeNumber directory = kRootInode) {
    std::string text;
    for (const auto& entry : view.entries(directory)) {
        if (entry.name == "." || entry.name == ".." || entry.name == "lost+found") {
            continue;
        }
        const auto found = view.lookup(directory, entry.name).value();
        text += entry.name + ' ' + described(found);
        for (const auto& name : view.xattr_names(found.inode)) {
            text += ' ' + name + '=' + std::string(text_of(*view.xattr(found.inode, name)));
        }
        text += '\n';
        if (S_ISDIR(found.mode)) {
            text += state_of(view, found.inode);
        } else if (S_ISREG(found.mode)) {
            text += std::string(text_of(content_of(view, found.inode))) + '\n';
        }
    }
    return text;
}

/// A partition with maps, attributes and directories that take blocks of their own.
Bytes make_used_partition() {
    MemoryDevice device(make_partition());
    const auto view = make_ext_view(device, ViewAccess::read_write);
    const auto make = [&](const std::string& name, mode_t mode) {
        return view->make(kRootInode, {.name = name, .mode = mode}).inode;
    };
    const auto file = make("file", S_IFREG | 0644);
    const auto other = make("other", S_IFREG | 0600);
    for (uint64_t block = 0; block < 30; ++block) {  // extents of one block each
        view->write(file, block * kKiB, noise(kKiB, block));
        view->write(other, block * kKiB, noise(kKiB, block + 100));
    }
    view->set_xattr(file, "user.large", noise(700, 1), XattrMode::any);
    const std::string target(200, 't');
    view->make(kRootInode, {.name = "link", .mode = S_IFLNK, .link_target = target});
    const auto many = make("many", S_IFDIR | 0755);
    for (int i = 0; i < 30; ++i) {
        const auto name = "a-name-that-is-long-enough-to-fill-blocks-" + std::to_string(i);
        view->make(many, {.name = name, .mode = S_IFREG | 0644});
    }
    make("empty", S_IFDIR | 0755);
    view->commit();
    return device.committed();
}

/// An operation, and what it returns.
using Operation = std::function<std::string(View&)>;

std::string try_operation(View& view, const Operation& operation) {
    try {
        return operation(view);
    } catch (const std::system_error& error) {
        return "errno " + std::to_string(error.code().value());
    }
}

struct Outcome {
    Bytes partition;  ///< before
    std::string result;
    std::string state;
};

Outcome outcome_of(const Operation& operation) {
    static const Bytes partition = make_used_partition();
    MemoryDevice device(partition);
    const auto view = make_ext_view(device, ViewAccess::read_write);
    auto result = try_operation(*view, operation);
    return {partition, std::move(result), state_of(*view)};
}

/// False if so many reads were enough.
bool is_put_off_after(uint64_t reads, const Operation& operation, const Outcome& expected) {
    MemoryDevice below(expected.partition);
    GatedDevice device(below);
    const auto view = make_ext_view(device, ViewAccess::read_write);
    device.close_after(reads);
    bool put_off = false;
    std::string result;
    try {
        const NoWaiting no_waiting;
        result = try_operation(*view, operation);
    } catch (const NotYet& later) {
        put_off = true;
        EXPECT_FALSE(later.over());
        device.open_gate();
        EXPECT_TRUE(later.over());
        EXPECT_FALSE(view->read_only());
        EXPECT_EQ(view->failure(), "");
        const NoWaiting no_waiting;
        result = try_operation(*view, operation);
    }
    device.open_gate();
    EXPECT_TRUE(result == expected.result) << result;
    EXPECT_TRUE(state_of(*view) == expected.state) << "after " << reads << " reads";
    view->commit();
    if (below.commits() != 0) {
        expect_e2fsck_clean(below.committed());
    }
    return put_off;
}

/// Puts it off at its first read, at its second, and so on.
void expect_can_be_put_off(const std::string& name, const Operation& operation) {
    SCOPED_TRACE(name);
    const auto expected = outcome_of(operation);
    uint64_t reads = 0;
    while (is_put_off_after(reads, operation, expected)) {
        ASSERT_LT(++reads, 1000U);
    }
    EXPECT_GE(reads, 1U);
}

/// Puts it off because the pass has not ended; that doesn't depend on what it reads.
void expect_waits_for_the_end(const std::string& name, const Operation& operation) {
    SCOPED_TRACE(name);
    const auto expected = outcome_of(operation);
    EXPECT_TRUE(is_put_off_after(1000, operation, expected)) << "all it needs could be read";
}

TEST(NotYetTest, WhateverReadsHasTheSameResultWhenItIsTriedAgain) {
    expect_can_be_put_off("lookup", [](View& view) {
        return described(view.lookup(inode_at(view, "many"), "none").value_or(Attributes{})) +
               described(*view.lookup(kRootInode, "file"));
    });
    expect_can_be_put_off("attributes", [](View& view) {
        return described(view.attributes(kRootInode)) + described(view.attributes(20)) +
               described(view.attributes(12));
    });
    expect_can_be_put_off("link_target",
                          [](View& view) { return view.link_target(inode_at(view, "link")); });
    expect_can_be_put_off("entries", [](View& view) {
        std::string names;
        for (const auto& entry : view.entries(inode_at(view, "many"))) {
            names += entry.name + ' ' + std::to_string(entry.inode) + '\n';
        }
        return names;
    });
    expect_can_be_put_off("read", [](View& view) {
        return std::string(text_of(content_of(view, inode_at(view, "file"))));
    });
    expect_can_be_put_off("xattr", [](View& view) {
        return std::string(text_of(*view.xattr(inode_at(view, "file"), "user.large")));
    });
    expect_can_be_put_off(
        "xattr_names", [](View& view) { return view.xattr_names(inode_at(view, "file")).at(0); });
}

TEST(NotYetTest, WhateverChangesWaitsForTheEndOfThePassAndIsDoneOnce) {
    const auto in_root = [](const std::string& name, mode_t mode) {
        return [name, mode](View& view) {
            return described(view.make(kRootInode, {.name = name, .mode = mode}));
        };
    };
    expect_waits_for_the_end("a file", in_root("new", S_IFREG | 0644));
    expect_waits_for_the_end("a directory", in_root("new", S_IFDIR | 0755));
    expect_waits_for_the_end("a name that is there", in_root("file", S_IFREG | 0644));
    expect_waits_for_the_end("write", [](View& view) {
        view.write(12, 29 * kKiB, noise(9 * kKiB, 5));
        return std::string();
    });
    expect_waits_for_the_end("truncate",
                             [](View& view) { return described(view.change(12, {.size = 5000})); });
    expect_waits_for_the_end("chmod",
                             [](View& view) { return described(view.change(12, {.mode = 0400})); });
    expect_waits_for_the_end(
        "link", [](View& view) { return described(view.link(12, kRootInode, "second")); });
    expect_waits_for_the_end("unlink", [](View& view) {
        view.unlink(kRootInode, "file");
        return std::string();
    });
    expect_waits_for_the_end("rmdir", [](View& view) {
        view.rmdir(kRootInode, "empty");
        return std::string();
    });
    expect_waits_for_the_end("rename", [](View& view) {
        view.rename(kRootInode, "file", kRootInode, "other", RenameMode::replace);
        return std::string();
    });
    expect_waits_for_the_end("set_xattr", [](View& view) {
        view.set_xattr(12, "user.new", noise(200, 2), XattrMode::any);
        return std::string();
    });
    expect_waits_for_the_end("remove_xattr", [](View& view) {
        view.remove_xattr(12, "user.large");
        return std::string();
    });
}

TEST(NotYetTest, AnOpenViewReadsWhatThePassHasGonePast) {
    MemoryDevice below(make_used_partition());
    GatedDevice device(below);
    device.move_gate(kGroup);  // the bitmaps and inodes of another group lie behind it
    const NoWaiting no_waiting;
    const auto view = make_ext_view(device, ViewAccess::read_write);
    EXPECT_FALSE(view->read_only());
    const auto space = view->space();
    EXPECT_GT(space.free_blocks, 0U);
    EXPECT_EQ(view->entries(kRootInode).size(), 8U);
    const auto file = inode_at(*view, "file");
    view->open(file);
    EXPECT_EQ(content_of(*view, file).size(), 30 * kKiB);
    view->close(file);
    EXPECT_THROW(view->make(kRootInode, {.name = "new", .mode = S_IFREG | 0644}), NotYet);
    EXPECT_EQ(view->space().free_blocks, space.free_blocks);
    view->commit();  // nothing to commit, nothing to wait for
    EXPECT_EQ(below.commits(), 0);
}

TEST(NotYetTest, AnOpenViewKnowsItsSpaceWithoutReading) {
    MemoryDevice below(make_ext_image({.options = "-t ext4"}));
    GatedDevice device(below);
    const auto view = make_ext_view(device, ViewAccess::read_write);
    device.move_gate(0);
    const NoWaiting no_waiting;
    const auto space = view->space();
    device.open_gate();
    view->make(kRootInode, {.name = "new", .mode = S_IFDIR | 0755});
    EXPECT_EQ(view->space().blocks, space.blocks);
    EXPECT_EQ(view->space().free_blocks, space.free_blocks - 1);
}

TEST(NotYetTest, AThreadThatMayWaitIsWaitedFor) {
    MemoryDevice below(make_used_partition());
    GatedDevice device(below);
    const auto view = make_ext_view(device, ViewAccess::read_write);
    device.move_gate(kGroup);
    std::thread maker([&] { view->make(kRootInode, {.name = "new", .mode = S_IFREG | 0644}); });
    device.wait_for_waiting();
    EXPECT_EQ(view->entries(kRootInode).size(), 8U) << "it holds up nobody";
    device.open_gate();
    maker.join();
    EXPECT_TRUE(view->lookup(kRootInode, "new"));
    view->commit();
    expect_e2fsck_clean(below.committed());
}

TEST(NotYetTest, WhileTheBitmapsAreLoadedReadersGoOnAndChangesArePutOff) {
    MemoryDevice below(make_used_partition());
    GatedDevice device(below);
    const auto view = make_ext_view(device, ViewAccess::read_write);
    device.move_gate(kGroup);
    device.pretend_settled();
    const auto make = [&](const std::string& name) {
        view->make(kRootInode, {.name = name, .mode = S_IFREG | 0644});
    };
    std::thread first([&] { make("first"); });
    device.wait_for_waiting();
    const auto second = [&] {
        const NoWaiting no_waiting;
        EXPECT_EQ(content_of(*view, inode_at(*view, "file")).size(), 30 * kKiB);
        try {
            make("second");
        } catch (const NotYet& later) {
            EXPECT_FALSE(later.over());
            device.open_gate();
            first.join();
            EXPECT_TRUE(later.over());
            return true;
        }
        return false;
    };
    EXPECT_TRUE(second());
    make("second");
    EXPECT_TRUE(view->lookup(kRootInode, "first"));
    view->commit();
    expect_e2fsck_clean(below.committed());
}

TEST(NotYetTest, TheRawViewReadsWhatThePassHasGonePastAndIsWrittenAtItsEnd) {
    const Bytes content = noise(100'000, 1);
    MemoryDevice below(content);
    GatedDevice device(below);
    device.move_gate(50'000);
    const NoWaiting no_waiting;
    const auto view = make_raw_view(device, ViewAccess::read_write);
    const auto file = view->lookup(kRootInode, "partition").value().inode;
    Bytes out(1000);
    EXPECT_EQ(view->read(file, 49'000, out), out.size());
    EXPECT_TRUE(std::ranges::equal(out, ConstByteSpan(content).subspan(49'000, 1000)));
    EXPECT_THROW(view->read(file, 49'500, out), NotYet);
    EXPECT_THROW(view->write(file, 0, out), NotYet);
    device.open_gate();
    view->write(file, 99'000, out);
    EXPECT_EQ(below.dirty_bytes(), out.size());
    EXPECT_TRUE(content_of(*view, file) == read_all(below));
}

}  // namespace
}  // namespace imgfs
