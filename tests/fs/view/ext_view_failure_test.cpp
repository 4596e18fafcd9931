// What a view does when the device fails in the middle of a change, and many threads at once.
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <future>
#include <thread>

#include "fs/base/error.h"
#include "fs/view/ext_view.h"
#include "tests/support/ext_image.h"
#include "tests/support/memory_device.h"
#include "tests/support/memory_source.h"
#include "tests/support/thrown.h"
#include "tests/support/view_listing.h"

namespace imgfs {
namespace {

/// A device whose writes fail after so many, whose discards fail, that has a damaged block, or that
/// is slow to read one.
class FailingDevice final : public Device {
  public:
    explicit FailingDevice(Bytes content) : inner_(std::move(content)) {}

    void fail_after(int writes) { left_ = writes; }
    void fail_discards(int error) { discard_error_ = error; }
    /// Of 4 KiB; it can neither be read nor written in part.
    void damage_block_at(uint64_t offset) { damaged_ = offset; }
    /// Whoever reads the block there waits for let_go().
    void hold_readers_of(uint64_t offset) { held_ = offset; }
    void wait_for_reader() { reader_.get_future().wait(); }
    void let_go() { go_.set_value(); }
    const Bytes& committed() const { return inner_.committed(); }

    uint64_t size() const override { return inner_.size(); }
    std::string place(uint64_t offset) const override { return inner_.place(offset); }
    void reserve(uint64_t bytes) override { inner_.reserve(bytes); }
    uint64_t dirty_bytes() const override { return inner_.dirty_bytes(); }
    void cut() override { inner_.cut(); }
    void sync() override { inner_.sync(); }
    void drop_uncommitted() override { inner_.drop_uncommitted(); }
    bool read_only() const override { return inner_.read_only(); }

  private:
    void read_inside(uint64_t offset, ByteSpan out) const override {
        check(offset, out.size());
        if (offset == held_) {
            reader_.set_value();
            gone_.wait();
        }
        inner_.read(offset, out);
    }
    void write_inside(uint64_t offset, ConstByteSpan bytes) override {
        if (left_ >= 0 && left_-- == 0) {
            left_ = 0;
            fail(EIO, "the device fails on purpose");
        }
        if (bytes.size() % 4096 != 0) {
            check(offset, bytes.size());
        }
        inner_.write(offset, bytes);
    }
    void discard_inside(uint64_t offset, uint64_t length) override {
        if (discard_error_ != 0) {
            fail(discard_error_, "nothing is discarded");
        }
        inner_.discard(offset, length);
    }
    void check(uint64_t offset, uint64_t length) const {
        if (offset < damaged_ + 4096 && damaged_ < offset + length) {
            fail(EUCLEAN, "the block is damaged");
        }
    }

    MemoryDevice inner_;
    std::atomic<int> left_{-1};
    std::atomic<int> discard_error_{0};
    std::atomic<uint64_t> damaged_{UINT64_MAX - 4096};
    std::atomic<uint64_t> held_{UINT64_MAX};
    mutable std::promise<void> reader_;
    std::promise<void> go_;
    std::shared_future<void> gone_ = go_.get_future().share();
};

TEST(ExtViewFailureTest, GoesBackToTheLastCommitWhenAChangeFailsHalfWay) {
    const Bytes image = make_ext_image({.options = "-t ext4 -b 1024", .size = 8 * kMiB});
    int half_way = 0;
    for (int writes = 0; writes < 12; ++writes) {
        FailingDevice device(image);
        const auto view = make_ext_view(device, ViewAccess::read_write);
        const auto kept = view->make(kRootInode, {.name = "kept", .mode = S_IFREG | 0644}).inode;
        view->write(kept, 0, bytes_of("kept content"));
        view->commit();
        view->make(kRootInode, {.name = "lost", .mode = S_IFREG | 0644});
        device.fail_after(writes);
        const int error =
            error_of([&] { view->make(kRootInode, {.name = "half", .mode = S_IFDIR | 0755}); });
        device.fail_after(-1);
        if (error == 0) {
            break;
        }
        ++half_way;
        EXPECT_EQ(error, EIO);
        EXPECT_TRUE(view->read_only());
        EXPECT_FALSE(view->lookup(kRootInode, "lost"));
        EXPECT_FALSE(view->lookup(kRootInode, "half"));
        EXPECT_EQ(text_of(content_of(*view, inode_at(*view, "kept"))), "kept content");
        EXPECT_EQ(error_of([&] { view->unlink(kRootInode, "kept"); }), EROFS);
        EXPECT_NE(error_of([&] { view->commit(); }), 0);
        expect_e2fsck_clean(device.committed());
    }
    EXPECT_GE(half_way, 3);
}

/// Where in the partition a file's only block is.
uint64_t place_of(const Bytes& partition, std::string_view content) {
    return text_of(partition).find(content);
}

TEST(ExtViewFailureTest, WhereNothingCanBeDiscardedFilesAreDeletedAllTheSame) {
    FailingDevice device(make_ext_image({.size = 16 * kMiB}));
    const auto view = make_ext_view(device, ViewAccess::read_write);
    const auto file = view->make(kRootInode, {.name = "file", .mode = S_IFREG | 0644}).inode;
    view->write(file, 0, noise(3 * kMiB, 1));
    view->commit();
    device.fail_discards(ENOSPC);
    view->change(file, {.size = kMiB});
    view->unlink(kRootInode, "file");
    EXPECT_FALSE(view->read_only());
    view->commit();
    expect_e2fsck_clean(device.committed());
}

TEST(ExtViewFailureTest, ADamagedBlockFailsItsOwnWritesOnly) {
    FailingDevice device(make_ext_image({.options = "-t ext4 -b 4096", .size = 16 * kMiB}));
    const auto view = make_ext_view(device, ViewAccess::read_write);
    const auto file = view->make(kRootInode, {.name = "file", .mode = S_IFREG | 0644}).inode;
    view->write(file, 0, bytes_of("content of a block that will be damaged"));
    view->commit();
    const auto other = view->make(kRootInode, {.name = "other", .mode = S_IFREG | 0644}).inode;
    view->write(other, 0, bytes_of("not yet committed"));
    device.damage_block_at(place_of(device.committed(), "content of a block"));
    EXPECT_EQ(error_of([&] { view->write(file, 2, bytes_of("x")); }), EUCLEAN);
    EXPECT_EQ(error_of([&] { view->write(file, 30, noise(9000, 1)); }), EUCLEAN);
    EXPECT_EQ(error_of([&] { view->write(file, 9000, bytes_of("x")); }), EUCLEAN);
    EXPECT_FALSE(view->read_only());
    view->commit();
    EXPECT_EQ(text_of(content_of(*view, other)), "not yet committed");
    expect_e2fsck_clean(device.committed());
}

TEST(ExtViewThreadsTest, AFileThatIsBeingReleasedCannotBeOpened) {
    FailingDevice device(make_ext_image({.size = 16 * kMiB}));
    const auto view = make_ext_view(device, ViewAccess::read_write);
    const auto file = view->make(kRootInode, {.name = "file", .mode = S_IFREG | 0644}).inode;
    view->write(file, 0, bytes_of("content of a file that goes"));
    view->commit();
    device.hold_readers_of(place_of(device.committed(), "content of a file"));
    std::thread reader([&] {
        Bytes out(10);
        view->read(file, 0, out);
    });
    device.wait_for_reader();
    std::thread remover([&] { view->unlink(kRootInode, "file"); });
    while (view->lookup(kRootInode, "file")) {
        std::this_thread::yield();
    }
    EXPECT_EQ(error_of([&] { view->open(file); }), ESTALE);
    device.let_go();
    reader.join();
    remover.join();
    view->commit();
    expect_e2fsck_clean(device.committed());
}

TEST(ExtViewThreadsTest, WorksInManyThreadsAtOnce) {
    constexpr int kThreads = 4;
    constexpr int kRounds = 60;
    MemoryDevice device(make_ext_image({.options = "-t ext4 -b 1024", .size = 32 * kMiB}));
    const auto view = make_ext_view(device, ViewAccess::read_write);
    const auto common = view->make(kRootInode, {.name = "common", .mode = S_IFREG | 0644}).inode;
    view->write(common, 0, Bytes(64 * kKiB, std::byte{'c'}));
    std::atomic<int> wrong{0};
    const auto work = [&](int number) {
        const std::string name = "thread" + std::to_string(number);
        const auto own = view->make(kRootInode, {.name = name, .mode = S_IFDIR | 0755}).inode;
        for (int i = 0; i < kRounds; ++i) {
            const std::string file = "f" + std::to_string(i);
            const auto inode = view->make(own, {.name = file, .mode = S_IFREG | 0644}).inode;
            const Bytes content = noise(5000, static_cast<uint64_t>(number * kRounds + i));
            view->open(inode);
            view->write(inode, 0, content);
            if (i % 3 == 0) {
                view->unlink(own, file);
            }
            wrong += content_of(*view, inode) == content ? 0 : 1;
            view->close(inode);
            Bytes part(4096);
            view->read(common, static_cast<uint64_t>(i) * 512, part);
            wrong += part[0] == std::byte{'c'} ? 0 : 1;
            view->set_xattr(own, "user.round", bytes_of(file), XattrMode::any);
            if (i % 20 == 0) {
                view->commit();
            }
            view->entries(kRootInode);
            view->space();
        }
    };
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) {
        threads.emplace_back(work, i);
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    EXPECT_EQ(wrong, 0);
    view->commit();
    expect_e2fsck_clean(device.committed());
    for (int i = 0; i < kThreads; ++i) {
        EXPECT_EQ(view->entries(inode_at(*view, "thread" + std::to_string(i))).size(),
                  2U + kRounds * 2 / 3);
    }
}

}  // namespace
}  // namespace imgfs
