#include "fs/source/gzip_source.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "fs/base/checksum.h"
#include "fs/base/error.h"
#include "fs/base/text.h"

namespace imgfs {
namespace {

// A deflate block can be far longer than the spacing (a bomb, or just zeros): memory stays bounded.
constexpr uint64_t kLongestSegment = 2 * kSeekSpacing;

}  // namespace

GzipSource::GzipSource(std::unique_ptr<Source> packed, GzipIndex index, uint64_t cache_size)
    : packed_(std::move(packed)),
      index_(std::move(index)),
      cache_(cache_size),
      reader_ahead_([this] { read_ahead_loop(); }) {}

GzipSource::~GzipSource() {
    {
        const std::lock_guard lock(mutex_);
        ending_ = true;
    }
    wake_.notify_all();
    reader_ahead_.join();
}

std::string GzipSource::place(uint64_t offset) const {
    const auto segment = segment_at(std::min(offset, std::max<uint64_t>(size(), 1) - 1));
    return packed_->place(index_.points[segment.point].packed_bit / 8) +
           " and after it (plain byte " + format_count(offset) + ")";
}

void GzipSource::read_inside(uint64_t offset, ByteSpan out) const {
    while (!out.empty()) {
        const auto segment = segment_at(offset);
        const auto bytes = decoded(segment);
        note_read(segment);
        const auto count = std::min<uint64_t>(out.size(), segment.end - offset);
        std::ranges::copy(ConstByteSpan(*bytes).subspan(offset - segment.begin, count),
                          out.begin());
        out = out.subspan(count);
        offset += count;
    }
}

GzipSource::Segment GzipSource::segment_at(uint64_t offset) const {
    // The last point whose segment starts at or before the offset.
    const auto next = std::ranges::upper_bound(
        index_.points, offset, {},
        [](const GzipSeekPoint& point) { return round_up(point.plain, kHashedPiece); });
    const auto point = static_cast<size_t>(next - index_.points.begin()) - 1;
    const auto begin = round_up(index_.points[point].plain, kHashedPiece);
    const auto end = next == index_.points.end()
                         ? index_.plain_size
                         : std::min(round_up(next->plain, kHashedPiece), index_.plain_size);
    const auto part = begin + round_down(offset - begin, kLongestSegment);
    return {part, point, part, std::min(part + kLongestSegment, end)};
}

SegmentCache::Segment GzipSource::decoded(const Segment& segment) const {
    return cache_.get(segment.number, [&](Bytes& plain) { decode(segment, plain); });
}

void GzipSource::decode(const Segment& segment, Bytes& plain) const {
    plain.resize(segment.end - segment.begin);
    decode_from(*packed_, index_.points[segment.point], segment.begin, plain);
    for (uint64_t at = 0; at < plain.size(); at += kHashedPiece) {
        const auto piece =
            ConstByteSpan(plain).subspan(at, std::min<uint64_t>(kHashedPiece, plain.size() - at));
        if (xxh3_64(piece) != index_.hashes[(segment.begin + at) / kHashedPiece]) {
            fail(EUCLEAN, place(segment.begin + at) +
                              ": differs from what it was when the image was indexed; the file has "
                              "been damaged since");
        }
    }
}

void GzipSource::note_read(const Segment& segment) const {
    {
        const std::lock_guard lock(mutex_);
        if (std::ranges::find(expected_, segment.end) != expected_.end()) {
            return;  // it reads on in the segment
        }
        const auto forward = std::ranges::find(expected_, segment.begin);
        const bool follows = forward != expected_.end() && segment.begin != 0;
        const auto oldest = follows ? forward : std::prev(expected_.end());
        *oldest = segment.end;
        std::rotate(expected_.begin(), oldest, std::next(oldest));
        if (!follows || segment.end == size()) {
            return;
        }
        wanted_ = segment.end;
    }
    wake_.notify_one();
}

void GzipSource::read_ahead_loop() {
    std::unique_lock lock(mutex_);
    while (true) {
        wake_.wait(lock, [this] { return ending_ || wanted_ != 0; });
        if (ending_) {
            return;
        }
        const auto segment = segment_at(std::exchange(wanted_, 0));
        lock.unlock();
        try {
            decoded(segment);
        } catch (const std::exception&) {
            // The reader who comes there meets the same error and is told.
        }
        lock.lock();
    }
}

}  // namespace imgfs
