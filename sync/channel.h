// Frames over a pair of descriptors: a 32-bit payload length, a type, the payload.
#pragma once

#include "sync/protocol.h"

namespace imgsync {

struct Frame {
    FrameType type{};
    ConstByteSpan payload;  ///< valid until the next frame is read
};

/// The descriptors are made non-blocking and must outlive reader and writer. When `interrupt`
/// (an eventfd or a pipe's end; -1 is none) becomes readable, what waits fails with ECANCELED. A
/// closed connection is ECONNRESET.
struct Wires {
    int in = -1;
    int out = -1;
    int interrupt = -1;
};

/// One thread may use it.
class FrameReader {
  public:
    explicit FrameReader(const Wires& wires);

    Frame next();
    /// next() would not wait.
    bool is_ready() const;
    uint64_t bytes() const { return bytes_; }

  private:
    void read_more();
    size_t available() const { return buffer_.size() - start_; }

    Wires wires_;
    Bytes buffer_;
    size_t start_ = 0;
    uint64_t bytes_ = 0;
};

/// One thread may use it. Frames are gathered until flush() or until they are many.
class FrameWriter {
  public:
    explicit FrameWriter(const Wires& wires);

    void put(FrameType type, ConstByteSpan payload = {});
    void flush();
    uint64_t bytes() const { return bytes_; }

  private:
    Wires wires_;
    Bytes buffer_;
    uint64_t bytes_ = 0;
};

}  // namespace imgsync
