#include <algorithm>
#include <cerrno>
#include <limits>

#include "fs/base/checksum.h"
#include "fs/base/error.h"
#include "fs/source/gzip.h"
#include "fs/source/gzip_decoder.h"
#include "fs/source/gzip_header.h"
#include "fs/source/gzip_stretch.h"
#include "fs/source/ordered_jobs.h"
#include "fs/source/sparse_history.h"

namespace imgfs {
namespace {

constexpr uint64_t kSpacing = 1536 * kKiB;      // plain bytes between two points, at least
constexpr uint64_t kDenseSpacing = kMiB;        // the same for a dense index
constexpr uint64_t kFarthestMarker = 8 * kMiB;  // plain bytes from a point to the next sync marker
constexpr uint64_t kStretchMemory = 48 * kMiB;
constexpr uint64_t kNowhere = std::numeric_limits<uint64_t>::max();
constexpr size_t kReadSize = 64 * kKiB;    // also how far a point may stand behind where it is due
constexpr size_t kChunkSize = 256 * kKiB;  // plain bytes that the sink gets at once

/// One indexing pass: where it is in the stream.
///
/// zlib stops at every deflate block, so any block can get a seek point, at any bit. ISA-L is twice
/// as fast and stops only where its input ends; so when a point is due it is fed up to the next
/// sync marker (an empty stored block), where a block starts at a whole byte. If no marker comes
/// for long, or ISA-L finds damage, the pass goes back to its last point and on with zlib,
/// which also has the last word on what is damaged; behind that, from the next marker on, with
/// ISA-L again. Between markers ISA-L runs on all cores, see GzipStretch.
class GzipPass {
  public:
    GzipPass(const Source& packed, const PassOptions& options, PassSink& sink)
        : packed_(packed),
          sink_(sink),
          spacing_(options.dense ? kDenseSpacing : kSpacing),
          reader_(packed, 0, kReadSize),
          inflater_(make_inflater(options.portable ? InflateEngine::zlib : InflateEngine::fastest,
                                  Stops::at_blocks)),
          isal_(!inflater_->stops_at_blocks()),
          buffer_(kDeflateHistory + kChunkSize) {}

    void run(const SeekPoint& start) {
        if (start.plain == 0) {
            enter_member();
        } else {
            const auto place = gzip_place(start);
            if (place.by_blocks) {
                inflater_ = make_zlib_inflater(Stops::at_blocks);
            }
            go_on_at(place);
            told_ = plain_;
        }
        decode();
        tell_plain();
    }

  private:
    void enter_member() {
        skip_gzip_header(reader_);
        inflater_->reset();
        member_plain_ = 0;
        crc_ = 0;
        offer_point(reader_.offset() * 8);
    }

    /// What stands before damage is told, too.
    void decode() {
        try {
            if (isal_) {
                decode_stretches();
            }
            decode_up_to(packed_.size());
        } catch (const std::system_error& error) {
            if (error.code().value() == EUCLEAN && filled_ > 0) {
                tell_plain();
            }
            throw;
        }
    }

    /// On all cores, as far as the stream's markers allow it.
    void decode_stretches() {
        GzipStretches stretches(packed_, spacing_);
        OrderedJobs jobs(kStretchMemory);
        for (auto from = reader_.offset(); from < packed_.size() && !ended_;
             from += GzipStretches::kPacked) {
            jobs.add(GzipStretches::kMemory,
                     [this, &stretches, from] { return stretch_at(stretches, from); });
        }
        jobs.finish();
    }

    OrderedJobs::Report stretch_at(GzipStretches& stretches, uint64_t from) {
        const auto stretch = std::make_shared<std::optional<GzipStretch>>(stretches.decode(from));
        return [this, &stretches, from, stretch] {
            decode_up_to(from);  // so that those that look for markers don't run away
            if (*stretch) {
                take(**stretch);
                stretches.give_back(std::move(**stretch));
            }
        };
    }

    /// What isn't known of it is decoded now that its history is.
    void take(const GzipStretch& stretch) {
        decode_up_to(stretch.begin);
        if (block_ != stretch.begin) {
            return;  // it began elsewhere: its marker was none
        }
        const auto start = plain_;
        decode_up_to(stretch.end, start + stretch.known);
        if (plain_ != start + stretch.known) {
            return;
        }
        for (const auto& block : stretch.blocks) {
            add_known(stretch, plain_ - start, block.plain);
            offer_point(block.packed * 8);
        }
        go_on_behind(stretch.end);
    }

    void add_known(const GzipStretch& stretch, uint64_t begin, uint64_t end) {
        while (begin < end) {
            const auto out = ByteSpan(buffer_).subspan(kDeflateHistory + filled_);
            const auto count = std::min<uint64_t>(end - begin, out.size());
            std::ranges::copy(stretch.plain.first(begin + count).subspan(begin), out.begin());
            add(out.first(count));
            begin += count;
        }
    }

    /// A marker ends there.
    void go_on_behind(uint64_t offset) {
        reader_.go_to(offset);
        inflater_ = make_isal_inflater();
        inflater_->resume(history(), 0, 0);
        block_ = offset;
    }

    /// Decodes until the packed stream was read up to there, or `plain` is reached, or it ends.
    void decode_up_to(uint64_t packed, uint64_t plain = kNowhere) {
        packed_limit_ = packed;
        plain_limit_ = plain;
        while (!ended_ && plain_ < plain_limit_ &&
               (reader_.offset() < packed || packed == packed_.size())) {
            if (decode_some()) {
                end_member();
            }
        }
    }

    void end_member() {
        const auto trailer = read_gzip_trailer(reader_);
        if (trailer.crc != crc_ || trailer.plain_size != static_cast<uint32_t>(member_plain_)) {
            tell_mismatch();
        }
        if (another_gzip_member(reader_)) {
            enter_member();
        } else {
            ended_ = true;
        }
    }

    /// Once, though the pass may go back and come upon it again.
    void tell_mismatch() {
        if (reader_.offset() > mismatch_) {
            mismatch_ = reader_.offset();
            tell_plain();
            sink_.mismatch(packed_.place(mismatch_) +
                           ": the checksum there disagrees with what stands before it; something "
                           "before it is damaged");
        }
    }

    /// Decodes one input's worth; true at the member's end.
    bool decode_some() {
        const auto input = next_input();
        const bool source_ended = input.empty();
        auto packed = input;
        for (bool waiting = true; waiting;) {
            const auto room = ByteSpan(buffer_).subspan(kDeflateHistory + filled_);
            const auto out = room.first(std::min<uint64_t>(room.size(), plain_limit_ - plain_));
            const auto step = inflater_->step(packed, out);
            reader_.take(step.taken);
            block_ = step.at_block && step.unused_bits == 0 ? reader_.offset() : kNowhere;
            packed = packed.subspan(step.taken);
            if (step.damaged) {
                give_up_at_damage(out.first(step.made));
                return false;
            }
            if (source_ended && step.made == 0 && !step.at_end) {
                reader_.fail_at_end();
            }
            add(out.first(step.made));
            waiting = step.made == out.size() && plain_ < plain_limit_;
            if (step.at_end) {
                reader_.go_to(reader_.offset() - step.unused_bytes);
                return true;
            }
            if (step.at_block) {
                offer_point(reader_.offset() * 8 - step.unused_bits);
                const auto taken = text_of(input.first(input.size() - packed.size()));
                if (isal_ && inflater_->stops_at_blocks() && plain_ > zlib_up_to_ &&
                    block_ != kNowhere && taken.ends_with(kSyncMarker)) {
                    go_on_behind(block_);
                }
            }
        }
        if (!inflater_->stops_at_blocks() && since_point() > kFarthestMarker) {
            go_back_to_zlib();
        }
        return false;
    }

    /// What is there; if a point is due and the decoder doesn't stop at blocks, up to the end of
    /// the next sync marker.
    ConstByteSpan next_input() {
        auto all = reader_.available();
        all = all.first(std::min<uint64_t>(all.size(), packed_limit_ - reader_.offset()));
        if (inflater_->stops_at_blocks() || since_point() < spacing_) {
            return all;
        }
        const auto found = text_of(all).find(kSyncMarker);
        return found == std::string_view::npos ? all : all.first(found + kSyncMarker.size());
    }

    /// `made` follows what the buffer holds.
    void add(ConstByteSpan made) {
        crc_ = gzip_crc(made, crc_);
        filled_ += made.size();
        plain_ += made.size();
        member_plain_ += made.size();
        if (filled_ == kChunkSize) {
            tell_plain();
            reached_ = std::max(reached_, reader_.offset());
            sink_.progress(reached_);
        }
    }

    /// What stands in the buffer and wasn't told before the pass went back; its end stays as
    /// history.
    void tell_plain() {
        const auto fresh = plain_ > told_ ? std::min<uint64_t>(plain_ - told_, filled_) : 0;
        sink_.plain(ConstByteSpan(buffer_).subspan(kDeflateHistory + filled_ - fresh, fresh));
        told_ = std::max(told_, plain_);
        const auto history = buffer_.begin() + static_cast<ptrdiff_t>(filled_);
        std::copy(history, history + kDeflateHistory, buffer_.begin());
        filled_ = 0;
    }

    uint64_t since_point() const { return plain_ - point_.plain; }

    /// Up to 32 KiB of the member, just decoded.
    Bytes history() const {
        const auto size = std::min(member_plain_, kDeflateHistory);
        const auto end = buffer_.begin() + static_cast<ptrdiff_t>(kDeflateHistory + filled_);
        return {end - static_cast<ptrdiff_t>(size), end};
    }

    /// Takes a seek point here if the last one is far enough.
    void offer_point(uint64_t packed_bit) {
        if (point_.packed_bit != 0 && since_point() < spacing_) {
            return;
        }
        point_ = {.plain = plain_,
                  .packed_bit = packed_bit,
                  .member_plain = member_plain_,
                  .crc = crc_,
                  .by_blocks = inflater_->stops_at_blocks(),
                  .history = history()};
        auto kept = point_;
        if (!kept.history.empty()) {
            Bytes ahead(std::min(kSparseLookahead, packed_.size() - packed_bit / 8));
            ahead.resize(read_up_to_damage(packed_, packed_bit / 8, ahead));
            kept.history = sieve_.sparse(ahead, static_cast<unsigned>(packed_bit % 8),
                                         std::move(kept.history));
        }
        tell_plain();
        sink_.point({kept.plain, kept.packed_bit, gzip_state(kept)});
    }

    void give_up_at_damage(ConstByteSpan made) {
        if (inflater_->stops_at_blocks()) {
            add(made);
            tell_plain();
            reader_.fail_damaged(inflater_->message());
        }
        go_back_to_zlib();
    }

    void go_back_to_zlib() {
        tell_plain();
        zlib_up_to_ = plain_;
        inflater_ = make_zlib_inflater(Stops::at_blocks);
        go_on_at(point_);
    }

    void go_on_at(GzipPlace place) {
        block_ = kNowhere;
        plain_ = place.plain;
        member_plain_ = place.member_plain;
        crc_ = place.crc;
        filled_ = 0;
        std::ranges::copy(
            place.history,
            buffer_.begin() + static_cast<ptrdiff_t>(kDeflateHistory - place.history.size()));
        start_inflater(reader_, *inflater_, place);
        point_ = std::move(place);
    }

    const Source& packed_;
    PassSink& sink_;
    const uint64_t spacing_;
    PackedReader reader_;
    std::unique_ptr<Inflater> inflater_;
    const bool isal_;  // is there, and may be used
    HistorySieve sieve_;
    GzipPlace point_;  // the last one
    uint64_t plain_ = 0;
    uint64_t packed_limit_ = 0;  // how far to decode
    uint64_t plain_limit_ = 0;   // the same in plain bytes
    uint64_t block_ = kNowhere;  // where a block starts at a whole byte if nothing stands before it
    bool ended_ = false;         // after the last member
    uint64_t zlib_up_to_ = 0;    // where ISA-L was of no use
    uint64_t told_ = 0;          // plain bytes that the sink has
    uint64_t mismatch_ = 0;      // the last that was told of
    uint64_t reached_ = 0;       // in the packed stream, before it last went back, too
    uint64_t member_plain_ = 0;
    uint32_t crc_ = 0;   // of the member
    size_t filled_ = 0;  // bytes in the buffer behind the history
    Bytes buffer_;       // 32 KiB of history, then what wasn't told yet
};

}  // namespace

bool starts_gzip(ConstByteSpan start) {
    return text_of(start).starts_with("\x1f\x8b\x08");
}

void pass_gzip(const Source& packed, const PassStart& start, const PassOptions& options,
               PassSink& sink) {
    GzipPass(packed, options, sink).run(start.point);
}

}  // namespace imgfs
