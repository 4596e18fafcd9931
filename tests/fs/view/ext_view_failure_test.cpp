// What a view does when the device fails in the middle of a change, and many threads at once.
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <thread>

#include "fs/base/error.h"
#include "fs/view/ext_view.h"
#include "tests/support/ext_image.h"
#include "tests/support/memory_device.h"
#include "tests/support/memory_source.h"
#include "tests/support/view_listing.h"

namespace imgfs {
namespace {

template <typename Call>
int errno_from(Call call) {
    try {
        call();
    } catch (const std::exception& error) {
        return errno_of(error);
    }
    return 0;
}

/// A device whose writes fail after so many.
class FailingDevice final : public Device {
  public:
    explicit FailingDevice(Bytes content) : inner_(std::move(content)) {}

    void fail_after(int writes) { left_ = writes; }
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
    void read_inside(uint64_t offset, ByteSpan out) const override { inner_.read(offset, out); }
    void write_inside(uint64_t offset, ConstByteSpan bytes) override {
        if (left_ >= 0 && left_-- == 0) {
            left_ = 0;
            fail(EIO, "the device fails on purpose");
        }
        inner_.write(offset, bytes);
    }
    void discard_inside(uint64_t offset, uint64_t length) override {
        inner_.discard(offset, length);
    }

    MemoryDevice inner_;
    std::atomic<int> left_{-1};
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
            errno_from([&] { view->make(kRootInode, {.name = "half", .mode = S_IFDIR | 0755}); });
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
        EXPECT_EQ(errno_from([&] { view->unlink(kRootInode, "kept"); }), EROFS);
        EXPECT_NE(errno_from([&] { view->commit(); }), 0);
        expect_e2fsck_clean(device.committed());
    }
    EXPECT_GE(half_way, 3);
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
