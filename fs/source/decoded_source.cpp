#include "fs/source/decoded_source.h"

#include <algorithm>
#include <cerrno>
#include <thread>

#include "fs/base/checksum.h"
#include "fs/base/error.h"
#include "fs/base/text.h"

namespace imgfs {
namespace {

constexpr uint64_t kNoStreamIsLonger = uint64_t{1} << 62;
// A record can be far longer (a bomb, or a codec that finds no point): memory stays bounded.
constexpr uint64_t kLongestSegment = 32 * kMiB;
// Of the memory beside the cache, what decoders take. More, they take from the cache.
constexpr uint64_t kDecoders = 16 * kMiB;
// Decoders that take so much go when the next comes, and opening one takes longer than decoding a
// segment: what one has begun, it ends.
constexpr uint64_t kLargeDecoder = 64 * kMiB;
// Of the cache, what those may take that stand where a reader stopped, who may go on.
constexpr uint64_t kIdlePart = 8;
constexpr uint64_t kSkippedAtOnce = kMiB;
constexpr uint64_t kReadAheadStep = 512 * kKiB;
// Where a decoder may go on behind the next point, segments that start in the same stretch of so
// many plain bytes are read ahead one after the other by the same one: starting anew for each costs
// much where they are short (of bzip2 a whole block, since they start and end inside of one).
constexpr uint64_t kRun = 4 * kMiB;

size_t core_count() {
    return std::clamp<size_t>(std::thread::hardware_concurrency(), 1, 16);
}

/// Several fit into the cache.
uint64_t longest_segment(uint64_t cache_size) {
    return std::max(round_down(std::min(kLongestSegment, cache_size / 4), kHashedPiece),
                    kHashedPiece);
}

uint64_t over(uint64_t bytes, uint64_t free) {
    return bytes - std::min(bytes, free);
}

}  // namespace

DecodedSource::DecodedSource(std::unique_ptr<Source> packed, const Codec& codec,
                             std::unique_ptr<SeekIndex> index, const DecodedOptions& options)
    : packed_(std::move(packed)),
      codec_(codec),
      index_(std::move(index)),
      longest_segment_(longest_segment(options.cache_size)),
      run_(codec.points_last ? std::min(kRun, longest_segment_) : kHashedPiece),
      cache_(options.cache_size, longest_segment_),
      decoders_({.most = kDecoders + options.cache_size / 2,
                 .idle = kDecoders + options.cache_size / kIdlePart},
                [this](uint64_t held) {
                    cache_.lend(SegmentCache::Borrower::decoders, over(held, kDecoders));
                }),
      read_ahead_(core_count(), {.next = [this](uint64_t offset) { return next_run(offset); },
                                 .fetch = [this](uint64_t offset) { fetch(offset); }}) {
    if (!index_->known_size()) {
        auto reports = options.reports;
        reports.holds = [this](uint64_t bytes) {
            cache_.lend(SegmentCache::Borrower::pass, over(bytes, kPassMemory));
        };
        builder_ = std::make_unique<IndexBuilder>(
            *packed_, codec_, *index_, options.pass, std::move(reports),
            [this](uint64_t offset, ByteSpan out) { read(offset, out); });
    }
}

uint64_t DecodedSource::bound() const {
    return index_->known_size().value_or(kNoStreamIsLonger);
}

std::string DecodedSource::place(uint64_t offset) const {
    const auto range = index_->known_at(offset);
    return packed_->place(range ? range->packed_bit / 8 : index_->packed_done()) +
           " and after it (plain byte " + format_count(offset) + ")";
}

void DecodedSource::read_inside(uint64_t offset, ByteSpan out) const {
    while (!out.empty()) {
        const auto segment = segment_of(range_at(offset), offset);
        const auto start = offset - segment.begin;
        const auto count = std::min<uint64_t>(out.size(), segment.end - offset);
        const auto cached =
            cache_.get(segment.begin, segment.end - segment.begin, {start, start + count});
        const auto plain = decoded(segment, *cached, start + count, codec_.step);
        read_ahead_.note_read(segment.begin, segment.end, offset);
        std::ranges::copy(plain.subspan(start), out.begin());
        out = out.subspan(count);
        offset += count;
    }
}

SeekIndex::Range DecodedSource::range_at(uint64_t offset) const {
    if (const auto range = index_->at(offset)) {
        return *range;
    }
    fail(EUCLEAN, packed_->place(packed_->size()) + ": the stream ends there, at plain byte " +
                      format_count(index_->size()) + ", before byte " + format_count(offset) +
                      "; a part is missing or cut short");
}

DecodedSource::Segment DecodedSource::segment_of(const SeekIndex::Range& range,
                                                 uint64_t offset) const {
    const auto begin = range.begin + round_down(offset - range.begin, longest_segment_);
    return {range, begin, std::min(begin + longest_segment_, range.end)};
}

uint64_t DecodedSource::next_run(uint64_t offset) const {
    const auto past = round_down(offset, run_) + run_;
    const auto range = index_->known_at(past);
    if (!range) {
        return 0;
    }
    const auto segment = segment_of(*range, past);
    return segment.begin == past ? past : segment.end;
}

void DecodedSource::fetch(uint64_t offset) const {
    const auto past = round_down(offset, run_) + run_;
    while (offset < past) {
        const auto range = index_->known_at(offset);
        if (!range) {
            return;
        }
        const auto segment = segment_of(*range, offset);
        const auto length = segment.end - segment.begin;
        decoded(segment, *cache_.get(segment.begin, length, {}), length,
                std::max(kReadAheadStep, codec_.step));
        offset = segment.end;
    }
}

ConstByteSpan DecodedSource::decoded(const Segment& segment, CachedSegment& cached, uint64_t length,
                                     uint64_t step) const {
    auto way = segment;
    try {
        return decoded_in_steps(way, cached, length, step);
    } catch (const NotAtOnce&) {
        way.range.next_bit = 0;
    } catch (const std::system_error&) {
        if (codec_.step == kHashedPiece && !codec_.points_last) {
            throw;
        }
    }
    way.afresh = true;  // a decoder from before may meet what stands between
    return decoded_in_steps(way, cached, length, kHashedPiece);  // up to the damage
}

ConstByteSpan DecodedSource::decoded_in_steps(const Segment& segment, CachedSegment& cached,
                                              uint64_t length, uint64_t step) const {
    OpenDecoder at;
    const auto more = [&](uint64_t from, ByteSpan out) {
        return extend(segment, at, segment.begin + from, out);
    };
    const auto stop = [&] {
        if (at.decoder) {
            decoders_.give(std::move(at));  // so that the next needn't start one of its own
        }
    };
    return cached.first(length, step, more, stop);
}

bool DecodedSource::extend(const Segment& segment, OpenDecoder& at, uint64_t plain,
                           ByteSpan out) const {
    if (!at.decoder) {
        at = decoder_at(segment, plain);
    }
    try {
        at.decoder->read(out);
        at.plain += out.size();
        check(at.record, plain, out);
    } catch (...) {
        at = {};  // nobody knows where it stands
        throw;
    }
    return at.decoder->has_more() || at.use.get_deleter().bytes >= kLargeDecoder;
}

/// One that stopped at or before there, or a new one.
OpenDecoder DecodedSource::decoder_at(const Segment& segment, uint64_t plain) const {
    const auto& range = segment.range;
    DecoderPool::Wanted wanted{.packed_bit = range.packed_bit,
                               .plain = plain,
                               .end = range.end,
                               .next_bit = range.next_bit};
    if (codec_.points_last && !segment.afresh) {
        wanted.from = range.begin;
    }
    auto at = decoders_.take(wanted, [&] { return open(range); });
    if (at.record.begin != range.begin) {
        at.record = index_->load(range);
        at.record.point.state = {};  // which may be large
    }
    Bytes skipped(std::min(plain - at.plain, kSkippedAtOnce));
    while (at.plain < plain) {
        const auto part = ByteSpan(skipped).first(std::min(plain - at.plain, kSkippedAtOnce));
        at.decoder->read(part);
        at.plain += part.size();
    }
    return at;
}

OpenDecoder DecodedSource::open(const SeekIndex::Range& range) const {
    OpenDecoder opened{
        .packed_bit = range.packed_bit, .next_bit = range.next_bit, .record = index_->load(range)};
    auto& point = opened.record.point;
    point.next_bit = range.next_bit;
    point.end = range.next_bit == 0 ? 0 : range.end;
    opened.decoder = codec_.open(*packed_, point);
    opened.start = opened.plain = point.plain;
    point.state = {};
    return opened;
}

void DecodedSource::check(const IndexRecord& record, uint64_t plain, ConstByteSpan bytes) const {
    for (uint64_t at = 0; at < bytes.size() && !record.hashes.empty(); at += kHashedPiece) {
        const auto expected = record.hashes[(plain + at - record.begin) / kHashedPiece];
        const auto piece = bytes.subspan(at, std::min<uint64_t>(kHashedPiece, bytes.size() - at));
        if (expected != kNoHash && xxh3_64(piece) != expected) {
            fail(EUCLEAN, place(plain + at) +
                              ": differs from what it was when the image was indexed; the file has "
                              "been damaged since");
        }
    }
}

}  // namespace imgfs
