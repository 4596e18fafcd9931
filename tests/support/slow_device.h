// A device in memory whose sync() can be held up or fail.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>

#include "fs/base/error.h"
#include "tests/support/memory_device.h"

namespace imgfs {

/// Counts what is reserved; wait_for_sync() waits until so many have begun.
class SlowDevice final : public Device {
  public:
    uint64_t size() const override { return inner_.size(); }
    std::string place(uint64_t offset) const override { return inner_.place(offset); }
    void reserve(uint64_t bytes) override {
        reserved += bytes;
        if (full) {
            fail(ENOSPC, "the disk is full");
        }
    }
    uint64_t dirty_bytes() const override {
        const std::lock_guard lock(mutex_);
        return inner_.dirty_bytes();
    }
    void cut() override {
        const std::lock_guard lock(mutex_);
        inner_.cut();
    }
    void sync() override {
        EXPECT_EQ(++in_sync, 1);
        std::unique_lock lock(mutex_);
        ++syncs;
        moved_.notify_all();
        moved_.wait(lock, [this] { return !held_; });
        --in_sync;
        if (broken) {
            fail(EIO, "the disk is on fire");
        }
        inner_.sync();
    }
    void drop_uncommitted() override {
        const std::lock_guard lock(mutex_);
        EXPECT_EQ(in_sync, 0);
        inner_.drop_uncommitted();
    }
    bool read_only() const override { return inner_.read_only(); }

    void hold() {
        const std::lock_guard lock(mutex_);
        held_ = true;
    }
    void release() {
        const std::lock_guard lock(mutex_);
        held_ = false;
        moved_.notify_all();
    }
    void wait_for_sync(int number) {
        std::unique_lock lock(mutex_);
        moved_.wait(lock, [&] { return syncs >= number; });
    }
    std::byte committed(uint64_t offset) const {
        const std::lock_guard lock(mutex_);
        return inner_.committed()[offset];
    }

    std::atomic<int> in_sync = 0;
    std::atomic<int> syncs = 0;
    std::atomic<uint64_t> reserved = 0;
    std::atomic<bool> full = false;
    std::atomic<bool> broken = false;

  private:
    void read_inside(uint64_t offset, ByteSpan out) const override {
        const std::lock_guard lock(mutex_);
        inner_.read(offset, out);
    }
    void write_inside(uint64_t offset, ConstByteSpan bytes) override {
        const std::lock_guard lock(mutex_);
        inner_.write(offset, bytes);
    }
    void discard_inside(uint64_t offset, uint64_t length) override {
        const std::lock_guard lock(mutex_);
        inner_.discard(offset, length);
    }

    mutable std::mutex mutex_;
    std::condition_variable moved_;
    bool held_ = false;
    MemoryDevice inner_{Bytes(64 * kKiB)};
};

}  // namespace imgfs
