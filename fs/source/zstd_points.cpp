#include "fs/source/zstd_points.h"

#include <algorithm>
#include <cerrno>

#include "fs/base/error.h"

namespace imgfs {
namespace {

constexpr uint64_t kSpacing = 8 * kMiB;
constexpr uint64_t kDenseSpacing = 4 * kMiB;
constexpr uint64_t kFrameSpacing = kMiB;  // a frame's start costs nothing
constexpr uint64_t kSmallWindow = 4 * kMiB;
/// Plain bytes to the next point for each byte that this one keeps, so that the index stays small.
constexpr uint64_t kPlainPerMarked = 160;
constexpr uint64_t kDensePlainPerMarked = 64;
constexpr size_t kCandidatesMost = 64;

/// What a pass takes besides two windows: batches, and what candidates keep.
constexpr uint64_t kPassBesides = 28 * kMiB;

/// The zstd programs compress in jobs, which refer to little of what stands before them. Unless
/// told otherwise, they begin at multiples of this in a frame; that need not be so (invariant 2).
uint64_t probable_job(uint64_t window) {
    return std::max<uint64_t>(4 * std::bit_ceil(window), kMiB);
}

}  // namespace

ZstdPointFinder::ZstdPointFinder(const Source& packed, const PassOptions& options, PassSink& sink,
                                 uint64_t plain)
    : packed_(packed), options_(options), sink_(sink), plain_(plain) {
    candidates_.push_back({.point = {.plain = plain}, .told = true});
}

void ZstdPointFinder::go_on(const ZstdPlace& place, ConstByteSpan behind) {
    RepeatOffsets repeats;
    std::ranges::transform(place.repeats, repeats.begin(), [](uint32_t offset) {
        return RepeatOffset{offset, 0};
    });
    const auto in_frame = plain_ - place.frame_start;
    frame_.emplace(Frame{.header = {.window = place.window,
                                    .content_size = place.content_size,
                                    .checksum = place.checksum.has_value()},
                         .start = place.frame_start,
                         .hash = {},
                         .tables = place.tables,
                         .repeats = RepeatTracker(repeats),
                         .history = PlainHistory(place.window, in_frame - behind.size())});
    if (place.checksum) {
        frame_->hash.restore(*place.checksum);
    }
    frame_->history.keep(behind);
    sink_.holds(2 * place.window + behind.size() + kPassBesides);  // libzstd's dictionary, too
    candidates_.back().place = place;
    candidates_.back().history.emplace(in_frame, place.window);
}

void ZstdPointFinder::begin_frame(const ZstdFrame& frame, uint64_t packed_offset) {
    frame_.emplace(Frame{.header = frame,
                         .packed_offset = packed_offset,
                         .start = plain_,
                         .hash = {},
                         .tables = {},
                         .repeats = RepeatTracker(kFirstRepeatOffsets),
                         .history = PlainHistory(frame.window)});
    const auto size = frame.content_size.value_or(frame.window);
    sink_.holds(2 * std::min(frame.window, size) + kPassBesides);
}

void ZstdPointFinder::add_block(const DecodedBlock& block) {
    if (!block.plain.empty()) {
        offer_point(block.packed_offset);
    }
    parse(block);
    if (frame_->header.checksum) {
        frame_->hash.update(block.plain);
    }
    frame_->history.keep(block.plain);
    plain_ += block.plain.size();
    if (!frame_->header.checksum) {
        sink_.unchecked(block.plain.size());
    }
    sink_.plain(block.plain);
    tell_complete();
}

void ZstdPointFinder::end_frame(ConstByteSpan checksum, uint64_t packed_offset) {
    if (frame_->header.checksum &&
        le32(checksum, 0) != static_cast<uint32_t>(frame_->hash.digest())) {
        sink_.mismatch(packed_.place(packed_offset) +
                       ": the checksum there disagrees with what stands before it; something "
                       "before it is damaged");
    }
    close_frame();
}

void ZstdPointFinder::lose(uint64_t count, const std::string& line) {
    close_frame();
    plain_ += count;
    next_frame_due_ = true;
    sink_.lost(count, line);
}

void ZstdPointFinder::end_early() {
    if (frame_) {
        close_frame();
    }
}

void ZstdPointFinder::offer_point(uint64_t packed_offset) {
    if (in_frame() == 0) {
        add_frame_start();
    } else if (candidates_.size() < kCandidatesMost && is_due()) {
        add_candidate(packed_offset);
    }
}

void ZstdPointFinder::add_frame_start() {
    if (since_point() < (next_frame_due_ ? kHashedPiece : kFrameSpacing)) {
        return;
    }
    next_frame_due_ = false;
    candidates_.clear();
    candidates_.push_back(
        {.point = {.plain = plain_, .packed_bit = frame_->packed_offset * 8}, .told = true});
    sink_.point(candidates_.back().point);
}

/// Only of a point inside a frame this says something.
bool ZstdPointFinder::last_begins_job() const {
    const auto& last = candidates_.back();
    const auto reach = last.history ? last.history->reach() : last.reach;
    return last.place.window != 0 && reach <= frame_->header.window / 4;
}

uint64_t ZstdPointFinder::wanted_distance() const {
    const auto least = options_.dense ? kDenseSpacing : kSpacing;
    if (last_begins_job()) {
        return least;
    }
    const auto& last = candidates_.back();
    const auto marked = last.history ? last.history->marked() : last.marked;
    const auto most = frame_->header.window > kSmallWindow ? 4 * least : 2 * least;
    return std::clamp(marked * (options_.dense ? kDensePlainPerMarked : kPlainPerMarked), least,
                      most);
}

bool ZstdPointFinder::is_due() const {
    const auto wanted = wanted_distance();
    const auto job = probable_job(frame_->header.window);
    const auto to_job = round_up(in_frame(), job) - in_frame();
    if (to_job == 0) {
        const auto least = options_.dense ? kDenseSpacing : kSpacing;
        return since_point() >= (candidates_.back().place.in_jobs ? least : wanted) / 4 * 3;
    }
    return since_point() >= wanted && since_point() + to_job > wanted / 4 * 5;
}

ZstdPlace ZstdPointFinder::present_place() const {
    ZstdPlace place{.window = frame_->header.window,
                    .frame_start = frame_->start,
                    .in_jobs = candidates_.back().place.in_jobs || last_begins_job(),
                    .content_size = frame_->header.content_size,
                    .tables = frame_->tables};
    std::ranges::transform(frame_->repeats.now(), place.repeats.begin(), &RepeatOffset::value);
    if (frame_->header.checksum) {
        place.checksum = frame_->hash.save();
    }
    return place;
}

void ZstdPointFinder::add_candidate(uint64_t packed_offset) {
    if (!frame_->repeats.settle()) {
        return;
    }
    auto place = present_place();
    const auto [least, most] = std::ranges::minmax(place.repeats);
    if (least == 0 || most > std::min(in_frame(), place.window)) {
        return;
    }
    const bool doubtful = std::ranges::any_of(
        place.tables.sequences,
        [](const SequenceTable& table) { return table.kind == SequenceTable::Kind::rle; });
    candidates_.push_back({.point = {.plain = plain_, .packed_bit = packed_offset * 8},
                           .place = place,
                           .history = SparseHistory(in_frame(), frame_->header.window),
                           .doubtful = doubtful});
}

void ZstdPointFinder::parse(const DecodedBlock& block) {
    const auto header = zstd_block_header(block.packed);
    if (header.kind != ZstdBlockHeader::Kind::compressed) {
        return;
    }
    const auto sections = parse_zstd_block(block.packed.subspan(kZstdBlockHeader), frame_->tables);
    if (!sections) {
        fail_rules(block.packed_offset);
    }
    if (sections->sequences != 0) {
        decide_doubtful(*sections);
    }
    if (is_walking()) {
        walk(block, *sections);
    } else {
        frame_->repeats.skip(*sections, frame_->tables, block.plain.size());
    }
}

void ZstdPointFinder::decide_doubtful(const ZstdSections& sections) {
    const auto first = std::ranges::find_if(candidates_, &Candidate::doubtful);
    if (first == candidates_.end()) {
        return;
    }
    // No sequences stand between them, so they have the same tables.
    for (const auto part : kSequenceParts) {
        const auto number = static_cast<size_t>(part);
        if (sections.repeats[number] &&
            first->place.tables.sequences[number].kind == SequenceTable::Kind::rle) {
            candidates_.erase(first, candidates_.end());
            return;
        }
    }
    std::for_each(first, candidates_.end(), [](Candidate& one) { one.doubtful = false; });
}

bool ZstdPointFinder::is_walking() const {
    return std::ranges::any_of(candidates_,
                               [](const Candidate& one) { return one.history.has_value(); });
}

void ZstdPointFinder::walk(const DecodedBlock& block, const ZstdSections& sections) {
    auto& repeats = frame_->repeats;
    if (!repeats.settle() ||
        !decode_sequences(sections, frame_->tables, block.plain.size(), sequences_)) {
        fail_rules(block.packed_offset);
    }
    auto at = in_frame();
    for (const auto& sequence : sequences_) {
        at += sequence.literals;
        const uint64_t offset = repeats.follow(sequence).value;
        if (offset > std::min(at, frame_->header.window)) {
            fail_rules(block.packed_offset);
        }
        mark_all(at - offset, sequence.match);
        at += sequence.match;
    }
}

void ZstdPointFinder::mark_all(uint64_t from, uint64_t size) {
    for (auto& candidate : candidates_) {
        if (candidate.history && from < candidate.history->end()) {
            candidate.history->mark(from, size, frame_->history);
        }
    }
}

bool ZstdPointFinder::needs_more(size_t number) const {
    const auto& candidate = candidates_[number];
    if (plain_ >= candidate.point.plain + frame_->header.window) {
        return false;
    }
    const bool followed = number + 1 < candidates_.size() && !candidates_[number + 1].doubtful;
    return !followed || plain_ < round_up(candidates_[number + 1].point.plain, kHashedPiece);
}

void ZstdPointFinder::tell_complete() {
    for (size_t number = 0; number < candidates_.size(); ++number) {
        auto& candidate = candidates_[number];
        if (candidate.doubtful || (candidate.history && needs_more(number))) {
            break;
        }
        complete(candidate);
    }
    while (candidates_.size() > 1 && candidates_[0].told && !candidates_[0].history &&
           !candidates_[1].doubtful) {
        candidates_.pop_front();
    }
}

void ZstdPointFinder::complete(Candidate& candidate) {
    if (!candidate.told) {
        auto state = packed_zstd_state(candidate.place, *candidate.history);
        if (!state) {
            fail(EUCLEAN, packed_.place(candidate.point.packed_bit / 8) +
                              ": what follows refers back to more than a seek index keeps; only "
                              "unpacking it all helps: zstd -dc");
        }
        sink_.point({candidate.point.plain, candidate.point.packed_bit, std::move(*state)});
        candidate.told = true;
    }
    if (candidate.history) {
        candidate.marked = candidate.history->marked();
        candidate.reach = candidate.history->reach();
        candidate.history.reset();
    }
}

void ZstdPointFinder::close_frame() {
    for (auto& candidate : candidates_) {
        complete(candidate);
    }
    candidates_.erase(candidates_.begin(), candidates_.end() - 1);
    frame_.reset();
}

void ZstdPointFinder::fail_rules(uint64_t packed_offset) const {
    fail(EUCLEAN, packed_.place(packed_offset) +
                      ": the block there breaks the rules of the zstd format; the stream is "
                      "damaged there, or only zstd -dc can unpack it");
}

}  // namespace imgfs
