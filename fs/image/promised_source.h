// PromisedSource: a stream whose own header says how long it is.
#pragma once

#include <algorithm>
#include <memory>

#include "fs/source/source.h"

namespace imgfs {

/// What it means if the stream is shorter.
enum class TooShort {
    is_cut,     ///< CutShort
    is_damaged  ///< what there is may be something else
};

/// Where the stream ends before its promised size, reads are EUCLEAN.
class PromisedSource final : public Source {
  public:
    PromisedSource(std::unique_ptr<Source> stream, uint64_t size, TooShort meaning)
        : stream_(std::move(stream)), size_(size), meaning_(meaning) {}

    uint64_t size() const override { return size_; }
    void settle() const override { stream_->settle(); }
    std::string place(uint64_t offset) const override { return stream_->place(offset); }

    /// Bytes that the stream has behind its promised size; waits until that is known, or throws.
    uint64_t excess() const {
        stream_->settle();
        return stream_->bound() - std::min(stream_->bound(), size_);
    }

  private:
    void read_inside(uint64_t offset, ByteSpan out) const override;

    const std::unique_ptr<Source> stream_;
    const uint64_t size_;
    const TooShort meaning_;
};

}  // namespace imgfs
