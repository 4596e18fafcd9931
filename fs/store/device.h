// Device: a Source that can be written.
#pragma once

#include <string>

#include "fs/source/source.h"

namespace imgfs {

/// Writes are seen by reads at once and become durable in commits: cut() draws the line, sync()
/// brings what is before the line to stable storage, all of it or nothing. Safe from any thread,
/// except that one thread at a time may be in sync().
class Device : public Source {
  public:
    /// The range must lie inside (EINVAL). ENOSPC and EROFS change nothing.
    void write(uint64_t offset, ConstByteSpan bytes);

    /// The range reads as zero from now on. Costs no space.
    void discard(uint64_t offset, uint64_t length);

    /// Promise 6: makes sure that `bytes` more can be written before the next sync(), or throws
    /// ENOSPC now. Call it before an operation that must not fail half-way.
    virtual void reserve(uint64_t bytes) = 0;

    /// Bytes written since the last cut(), roughly; what the next commit will have to hold.
    virtual uint64_t dirty_bytes() const = 0;

    /// Everything written until now belongs to the next commit, nothing later does. No I/O. The
    /// earlier cut must have been synced. Writes that run at the same time fall on either side, 4
    /// KiB at a time: a caller that needs more keeps them out.
    virtual void cut() = 0;

    /// Makes the last cut durable. After it threw, the device takes no more writes (EROFS), and
    /// reads go on showing everything that was written until drop_uncommitted().
    virtual void sync() = 0;

    /// Goes back to the last durable commit and takes no more writes: for whoever failed half-way.
    virtual void drop_uncommitted() = 0;

    virtual bool read_only() const = 0;

    /// If it is: the line for whoever wants to write.
    virtual std::string why_read_only() const { return "the device is read-only"; }

    void flush() {
        cut();
        sync();
    }

  private:
    virtual void write_inside(uint64_t offset, ConstByteSpan bytes) = 0;
    virtual void discard_inside(uint64_t offset, uint64_t length) = 0;
};

}  // namespace imgfs
