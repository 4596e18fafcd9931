// CowDevice: a source that is never changed, and over it what was written.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <vector>

#include "fs/store/delta_store.h"
#include "fs/store/device.h"
#include "fs/store/overlay.h"

namespace imgfs {

/// Reads see what was written last, else the delta, else the base. Written blocks are held in
/// memory until the sync() after the cut() that covers them. Over a delta that was opened read-only
/// it is read-only.
class CowDevice final : public Device {
  public:
    /// `delta` must outlive the device and belong to it alone.
    CowDevice(std::unique_ptr<Source> base, DeltaStore& delta);

    uint64_t size() const override { return base_->size(); }
    uint64_t bound() const override { return base_->bound(); }
    void settle() const override { base_->settle(); }
    std::string place(uint64_t offset) const override { return base_->place(offset); }
    void reserve(uint64_t bytes) override;
    uint64_t dirty_bytes() const override;
    void cut() override;
    void sync() override;
    void drop_uncommitted() override;

    /// Makes what the last sync() has made durable a recovery point; see DeltaStore::seal(). Then
    /// takes overwritten blocks out of its layer, if they are most of it; reads, writes and syncs
    /// go on meanwhile.
    void seal(const NewPoint& point);

    bool read_only() const override;
    std::string why_read_only() const override;

  private:
    class Window;
    struct Change;

    /// What records can take in the log.
    struct Space {
        uint64_t data_blocks = 0;
        uint64_t zero_runs = 0;
    };

    void read_inside(uint64_t offset, ByteSpan out) const override;
    void write_inside(uint64_t offset, ConstByteSpan bytes) override;
    void discard_inside(uint64_t offset, uint64_t length) override;

    std::vector<Window> copy_changed(const Window& window) const;
    void read_below(const Window& window) const;

    void make_point(const NewPoint& point);
    void compact();

    void make(Change& change);
    void read_below_parts(Change& change) const;
    bool apply(Change& change);
    void claim(const Space& space);
    void end_claim(const Space& space);
    uint64_t claimed_end(uint64_t wanted) const;

    const std::unique_ptr<Source> base_;
    DeltaStore& delta_;

    std::atomic<bool> dropped_ = false;

    std::mutex syncing_;  // held during sync(): cut_ is const then, and read without mutex_

    std::mutex
        growth_mutex_;  // makes claims of more space one after the other; taken before mutex_

    mutable std::shared_mutex mutex_;
    Overlay current_;
    Overlay cut_;
    uint64_t settled_ = 0;  // how often cut_ was emptied: what lies below it may have changed then
    uint64_t log_end_;      // of the delta, without cut_
    uint64_t promised_blocks_ = 0;  // by reserve(), and not used by a write yet
    Space in_flight_;               // of changes that are under way
};

}  // namespace imgfs
