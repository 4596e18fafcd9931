// IndexBuilder: the indexing pass of one stream, behind its readers' backs; one for all processes.
#pragma once

#include <filesystem>
#include <thread>

#include "fs/source/index_writer.h"

namespace imgfs {

/// Reads plain bytes that the index knows already.
using ReadPlain = std::function<void(uint64_t offset, ByteSpan out)>;

/// While another process holds the index file's lock it follows what that one appends; else it runs
/// the pass itself, from where the last one stopped.
class IndexBuilder {
  public:
    /// All must outlive it. `behind` is called on its thread.
    IndexBuilder(const Source& packed, const Codec& codec, SeekIndex& index,
                 const PassOptions& options, PassReports reports, ReadPlain behind);
    ~IndexBuilder();  ///< ends the pass where it is

  private:
    void run();
    bool follow();
    void build();

    const Source& packed_;
    const Codec& codec_;
    SeekIndex& index_;
    const PassOptions options_;
    const PassReports reports_;
    const ReadPlain behind_;

    std::atomic<bool> stop_ = false;
    std::mutex mutex_;
    std::condition_variable stopped_;
    std::thread thread_;
};

}  // namespace imgfs
