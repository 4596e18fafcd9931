// GatedDevice: a device that an indexing pass still has to go through, as it looks from above.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "fs/base/not_yet.h"
#include "fs/store/device.h"

namespace imgfs {

/// What lies behind the gate can't be read yet: whoever tries waits, or is told NotYet and finds
/// half of his buffer overwritten. That anything is changed before all can be read is a test
/// failure.
class GatedDevice final : public Device {
  public:
    /// The gate is open. `inner` must outlive it.
    explicit GatedDevice(Device& inner) : inner_(inner), gate_(inner.size()) {}

    /// The pass stands here.
    void move_gate(uint64_t offset) {
        const std::lock_guard lock(mutex_);
        gate_ = offset;
        reads_left_ = UINT64_MAX;
        moved_.notify_all();
    }
    void open_gate() { move_gate(inner_.size()); }
    /// Each read behind the gate is refused once, and the gate is moved to its end.
    void follow_readers() {
        const std::lock_guard lock(mutex_);
        follows_ = true;
    }
    /// So many reads more succeed.
    void close_after(uint64_t reads) {
        const std::lock_guard lock(mutex_);
        reads_left_ = reads;
    }
    /// settle() returns though the gate is closed: what is behind it is slow to read, not unknown.
    void pretend_settled() {
        const std::lock_guard lock(mutex_);
        is_settled_ = true;
    }
    /// Waits until somebody is held up.
    void wait_for_waiting() {
        std::unique_lock lock(mutex_);
        moved_.wait(lock, [this] { return waiting_ != 0; });
    }

    /// How many times NotYet was thrown.
    uint64_t refusals() const {
        const std::lock_guard lock(mutex_);
        return refusals_;
    }
    void wait_for_refusals(uint64_t count) {
        std::unique_lock lock(mutex_);
        moved_.wait(lock, [&] { return refusals_ >= count; });
    }

    uint64_t size() const override { return inner_.size(); }
    void settle() const override {
        pass(inner_.size(), [this] { return is_settled(); }, {});
    }
    std::string place(uint64_t offset) const override { return inner_.place(offset); }
    void reserve(uint64_t bytes) override {
        expect_settled();
        inner_.reserve(bytes);
    }
    uint64_t dirty_bytes() const override { return inner_.dirty_bytes(); }
    void cut() override {
        expect_settled();
        inner_.cut();
    }
    void sync() override {
        expect_settled();
        inner_.sync();
    }
    void drop_uncommitted() override {
        ADD_FAILURE() << "an operation was abandoned";
        inner_.drop_uncommitted();
    }
    bool read_only() const override { return inner_.read_only(); }

  private:
    bool is_settled() const {
        return is_settled_ || (gate_ == inner_.size() && reads_left_ == UINT64_MAX);
    }

    template <typename Open>
    void pass(uint64_t end, Open is_open, ByteSpan spoiled) const {
        std::unique_lock lock(mutex_);
        if (!is_open() && NoWaiting::is_on()) {
            std::ranges::fill(spoiled.first(spoiled.size() / 2), std::byte{0xee});
            ++refusals_;
            moved_.notify_all();
            gate_ = follows_ ? end : gate_;
            throw NotYet([this, is_open] {
                const std::lock_guard asking(mutex_);
                return is_open();
            });
        }
        ++waiting_;
        moved_.notify_all();
        moved_.wait(lock, is_open);
        --waiting_;
    }
    void expect_settled() const {
        const std::lock_guard lock(mutex_);
        EXPECT_TRUE(is_settled()) << "changed before all can be read";
    }
    void read_inside(uint64_t offset, ByteSpan out) const override {
        const uint64_t end = offset + out.size();
        pass(
            end, [this, end] { return end <= gate_ && reads_left_ != 0; }, out);
        {
            const std::lock_guard lock(mutex_);
            reads_left_ -= reads_left_ == UINT64_MAX ? 0 : 1;
        }
        inner_.read(offset, out);
    }
    void write_inside(uint64_t offset, ConstByteSpan bytes) override {
        expect_settled();
        inner_.write(offset, bytes);
    }
    void discard_inside(uint64_t offset, uint64_t length) override {
        expect_settled();
        inner_.discard(offset, length);
    }

    Device& inner_;

    mutable std::mutex mutex_;
    mutable std::condition_variable moved_;
    mutable uint64_t gate_;
    mutable uint64_t refusals_ = 0;
    bool follows_ = false;
    bool is_settled_ = false;
    mutable uint64_t reads_left_ = UINT64_MAX;
    mutable int waiting_ = 0;
};

}  // namespace imgfs
