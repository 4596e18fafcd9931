#include "fs/image/sequential_reader.h"

#include <algorithm>
#include <cerrno>

#include "fs/base/error.h"

namespace imgfs {
namespace {

constexpr uint64_t kMostAsked = kMiB;
constexpr uint64_t kLeastAsked = 64 * kKiB;
constexpr uint64_t kHopeless = 256 * kMiB;

}  // namespace

SequentialReader::SequentialReader(const Source& source, uint64_t offset, uint64_t end)
    : source_(source),
      offset_(offset),
      end_(end),
      buffer_(std::min(kMostAsked, end - offset)),
      ask_(kMostAsked),
      buffer_start_(offset),
      buffer_end_(offset) {}

SequentialReader::Piece SequentialReader::next(uint64_t most) {
    if (offset_ == buffer_end_ && offset_ < end_) {
        fill();
    }
    Piece piece;
    piece.length = std::min(most, buffer_end_ - offset_);
    if (readable_) {
        piece.bytes = ConstByteSpan(buffer_).subspan(offset_ - buffer_start_, piece.length);
    }
    offset_ += piece.length;
    return piece;
}

bool SequentialReader::hopeless() const {
    return unreadable_run_ >= kHopeless;
}

void SequentialReader::fill() {
    for (;; ask_ /= 2) {
        const uint64_t length = std::min(ask_, end_ - offset_);
        buffer_start_ = offset_;
        buffer_end_ = offset_ + length;
        try {
            source_.read(offset_, ByteSpan(buffer_).first(length));
            readable_ = true;
            unreadable_run_ = 0;
            ask_ = std::min(ask_ * 2, kMostAsked);
            return;
        } catch (const std::system_error& error) {
            if (error.code().value() != EUCLEAN) {
                throw;
            }
            damage_ = message_of(error);
        }
        if (length <= kLeastAsked) {
            readable_ = false;
            unreadable_run_ += length;
            return;
        }
    }
}

}  // namespace imgfs
