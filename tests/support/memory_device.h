// A device in memory for tests: commits are counted, not kept.
#pragma once

#include <algorithm>
#include <atomic>
#include <mutex>

#include "fs/store/device.h"

namespace imgfs {

class MemoryDevice final : public Device {
  public:
    explicit MemoryDevice(Bytes content) : content_(std::move(content)), committed_(content_) {}

    uint64_t size() const override { return content_.size(); }
    std::string place(uint64_t offset) const override {
        return "memory: byte " + std::to_string(offset);
    }
    void reserve(uint64_t) override {}
    uint64_t dirty_bytes() const override { return dirty_; }
    void cut() override {
        const std::lock_guard lock(mutex_);
        cut_ = content_;
        dirty_ = 0;
    }
    void sync() override {
        const std::lock_guard lock(mutex_);
        committed_ = cut_;
        ++commits_;
    }
    void drop_uncommitted() override {
        const std::lock_guard lock(mutex_);
        content_ = committed_;
        read_only_ = true;
    }
    bool read_only() const override { return read_only_; }

    /// What a crash now would leave.
    const Bytes& committed() const { return committed_; }
    int commits() const { return commits_; }

  private:
    void read_inside(uint64_t offset, ByteSpan out) const override {
        const std::lock_guard lock(mutex_);
        std::ranges::copy(ConstByteSpan(content_).subspan(offset, out.size()), out.begin());
    }
    void write_inside(uint64_t offset, ConstByteSpan bytes) override {
        const std::lock_guard lock(mutex_);
        std::ranges::copy(bytes, content_.begin() + static_cast<ptrdiff_t>(offset));
        dirty_ += bytes.size();
    }
    void discard_inside(uint64_t offset, uint64_t length) override {
        const std::lock_guard lock(mutex_);
        std::ranges::fill(ByteSpan(content_).subspan(offset, length), std::byte{});
        dirty_ += length;
    }

    mutable std::mutex mutex_;
    Bytes content_;
    Bytes cut_;
    Bytes committed_;
    std::atomic<uint64_t> dirty_ = 0;
    std::atomic<int> commits_ = 0;
    std::atomic<bool> read_only_ = false;
};

}  // namespace imgfs
