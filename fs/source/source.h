// Source: read-only bytes of a fixed size. Everything below a device is a stack of these.
#pragma once

#include <string>

#include "fs/base/bytes.h"

namespace imgfs {

/// Safe for concurrent reads: the offset is in the call and no object has a position. An
/// implementation owns the Source below it. Every implementation runs
/// tests/support/source_contract.h.
class Source {
  public:
    Source() = default;
    Source(const Source&) = delete;
    Source& operator=(const Source&) = delete;
    virtual ~Source() = default;

    /// In bytes; never changes. Of a compressed stream that is being indexed it is known at the
    /// end of the pass: waits for that, or throws NotYet.
    virtual uint64_t size() const = 0;

    /// No byte stands at or behind it; size() where that is known. Never waits.
    virtual uint64_t bound() const { return size(); }

    /// Returns when every byte can be read without waiting for an indexing pass; or throws NotYet.
    /// What stands over another Source asks that.
    virtual void settle() const {}

    /// Fills the whole span or throws. A range that does not lie inside bound() is EINVAL.
    void read(uint64_t offset, ByteSpan out) const;

    /// Where `offset` lies, for error messages: "web1/sda1.gz.ac: byte 41,203".
    virtual std::string place(uint64_t offset) const = 0;

  private:
    /// The range is inside and not empty.
    virtual void read_inside(uint64_t offset, ByteSpan out) const = 0;
};

}  // namespace imgfs
