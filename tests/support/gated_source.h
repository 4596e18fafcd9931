// GatedSource: a source that is read up to a gate only; who asks for more waits, or fails.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>

#include "fs/base/error.h"
#include "fs/source/source.h"

namespace imgfs {

/// The gate's state outlives the source, which may be owned by another.
class Gate {
  public:
    explicit Gate(uint64_t offset) : offset_(offset) {}

    void open_to(uint64_t offset) {
        const std::lock_guard lock(mutex_);
        offset_ = offset;
        moved_.notify_all();
    }
    /// Reads behind the gate fail with EIO, as when the image's folder goes away.
    void break_down() {
        const std::lock_guard lock(mutex_);
        broken_ = true;
        moved_.notify_all();
    }
    void wait_for(uint64_t end) {
        std::unique_lock lock(mutex_);
        moved_.wait(lock, [&] { return end <= offset_ || broken_; });
        if (end > offset_) {
            fail(EIO, "the gate is broken");
        }
    }

  private:
    std::mutex mutex_;
    std::condition_variable moved_;
    uint64_t offset_;
    bool broken_ = false;
};

class GatedSource final : public Source {
  public:
    GatedSource(std::unique_ptr<Source> below, std::shared_ptr<Gate> gate)
        : below_(std::move(below)), gate_(std::move(gate)) {}
    uint64_t size() const override { return below_->size(); }
    std::string place(uint64_t offset) const override { return below_->place(offset); }

  private:
    void read_inside(uint64_t offset, ByteSpan out) const override {
        gate_->wait_for(offset + out.size());
        below_->read(offset, out);
    }

    std::unique_ptr<Source> below_;
    std::shared_ptr<Gate> gate_;
};

}  // namespace imgfs
