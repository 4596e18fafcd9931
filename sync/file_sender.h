// Sends the content of one file: whole, as a delta, or only the word that it is the same.
#pragma once

#include "sync/channel.h"
#include "sync/rolling_delta.h"
#include "sync/tree_source.h"

namespace imgsync {

struct FileCounts {
    uint64_t read = 0;     ///< bytes of source files read
    uint64_t content = 0;  ///< bytes that the files sent have
    uint64_t sent = 0;     ///< bytes that travelled for them
    uint64_t files = 0;    ///< that were sent
};

class FileSender {
  public:
    /// Called now and then within a large file.
    using Tick = std::function<void()>;

    /// `writer` must outlive it.
    FileSender(FrameWriter& writer, Tick tick) : writer_(writer), tick_(std::move(tick)) {}

    /// Fails if the file can't be opened or read, ENOENT if it is gone or another one has its
    /// place, EAGAIN if its attributes aren't those listed: the caller then tells the target to
    /// forget what came.
    void send(const Want& want, Signature* signature, const SourceFile& file,
              const std::string& shown);

    const FileCounts& counts() const { return counts_; }

  private:
    void send_whole();
    void send_data(uint64_t offset, ByteSpan piece);
    void send_zeros(uint64_t count);
    void send_delta(Signature& signature);
    bool has_hash(const Hash128& wanted);
    size_t read_piece(uint64_t offset, ByteSpan out);

    FrameWriter& writer_;
    Tick tick_;
    FileCounts counts_;
    // of the file that is being sent
    Fd fd_;
    std::string shown_;
    uint64_t size_ = 0;
    imgfs::Xxh128 hash_;
};

/// The running hash as if `count` zero bytes had been added.
void add_zeros(imgfs::Xxh128& hash, uint64_t count);

}  // namespace imgsync
