// The part of an indexing pass over zstd that decodes, on a thread of its own.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "fs/source/zstd_frame.h"
#include "fs/source/zstd_state.h"

namespace imgfs {

struct ZstdEvent {
    enum class Kind : uint8_t { frame, block, end, lost };
    Kind kind = Kind::block;
    uint64_t packed_offset = 0;
    ConstByteSpan packed = {};  ///< of a block with its header; at the end, the checksum
    ConstByteSpan plain = {};
    ZstdFrame frame = {};
    uint64_t lost = 0;  ///< plain bytes, up to the frame's end
    std::string line = {};
};

/// Some MiB of the stream at most. The events' spans lie in its buffers.
struct ZstdBatch {
    Bytes packed;
    Bytes plain;
    std::vector<ZstdEvent> events;
    uint64_t packed_end = 0;  ///< offset behind the last event
};

/// Batches on their way from one thread to another, few of them. Safe to use by both.
class ZstdBatchQueue {
  public:
    ZstdBatchQueue();

    /// For the walker. An empty batch, once there is one; null after stop().
    std::unique_ptr<ZstdBatch> take_empty();
    void give_full(std::unique_ptr<ZstdBatch> batch);
    void finish(std::exception_ptr error);

    /// For the other end. Null after the last batch; throws what the walk ended with.
    std::unique_ptr<ZstdBatch> take_full();
    void give_empty(std::unique_ptr<ZstdBatch> batch);
    void stop();

  private:
    using Batches = std::deque<std::unique_ptr<ZstdBatch>>;
    std::mutex mutex_;
    std::condition_variable changed_;
    Batches empty_;
    Batches full_;
    bool finished_ = false;
    bool stopped_ = false;
    std::exception_ptr error_;
};

/// Where a walk starts inside a frame.
struct ZstdWalkStart {
    uint64_t packed_offset = 0;
    uint64_t plain = 0;
    std::optional<ZstdPlace> place = {};  ///< none: a frame starts there
    Bytes dictionary = {};                ///< with all of the window behind it
};

/// Decodes the stream from there to its end into the queue; never throws.
void walk_zstd(const Source& packed, ZstdWalkStart start, ZstdBatchQueue& queue);

}  // namespace imgfs
