// Takes the content of one file as it arrives and checks its hash.
#pragma once

#include <memory>

#include "sync/channel.h"
#include "sync/rolling_delta.h"
#include "sync/temp_file.h"

namespace imgsync {

class FileReceiver {
  public:
    /// Writes below `directory`, which must outlive it, as must `basis`: what a delta refers to.
    FileReceiver(const Begin& begin, int directory, const std::string& path, int basis);

    const Begin& begin() const { return begin_; }
    /// Data, zeros and delta frames only; others are a breach of protocol.
    void take(const Frame& frame);
    /// The whole content has come: has it the hash the source saw?
    bool end(const Hash128& hash);
    TempFile& file() { return file_; }

  private:
    void write(ConstByteSpan bytes);

    const Begin begin_;
    TempFile file_;
    imgfs::Xxh128 hash_;
    std::unique_ptr<Patch> patch_;
};

}  // namespace imgsync
