#include "fs/source/gzip_index.h"

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "fs/base/checksum.h"
#include "fs/base/error.h"
#include "fs/source/gzip_header.h"

namespace imgfs {
namespace {

constexpr size_t kReadSize = 128 * kKiB;  // also how far a point may stand behind where it is due
constexpr uint64_t kPieceSize = 4 * kHashedPiece;

/// Has the decoder go on at a bit of the packed stream.
void start_at(PackedReader& reader, Inflater& inflater, uint64_t packed_bit,
              ConstByteSpan history) {
    reader.go_to(packed_bit / 8);
    const auto past = static_cast<unsigned>(packed_bit % 8);
    const auto value = past == 0 ? 0U : static_cast<unsigned>(reader.byte()) >> past;
    inflater.resume(history, past == 0 ? 0 : 8 - past, value);
}

/// One indexing pass: where it is in the stream, and what it has found.
///
/// zlib stops at every deflate block, so any block can get a seek point, at any bit. ISA-L is twice
/// as fast and stops only where its input ends; so when a point is due it is fed up to the next
/// sync marker (an empty stored block), where a block starts at a whole byte. If no marker comes
/// for two spacings, or ISA-L finds damage, the pass goes back to its last point and on with zlib,
/// which also has the last word on what is damaged.
class IndexPass {
  public:
    IndexPass(const Source& packed, const GzipIndexOptions& options)
        : packed_(packed),
          options_(options),
          reader_(packed, 0, kReadSize),
          inflater_(make_inflater(options.engine, Stops::at_blocks)),
          now_{.buffer = Bytes(kDeflateHistory + kPieceSize)} {}

    GzipIndex run() {
        do {
            skip_gzip_header(reader_);
            inflater_->reset();
            now_.member_start = now_.plain;
            now_.crc = 0;
            offer_point(reader_.offset() * 8);
            decode_member();
        } while (another_gzip_member(reader_));
        hash_pieces();
        index_.plain_size = now_.plain;
        return std::move(index_);
    }

  private:
    /// What changes as the pass goes on, and is put back when it goes back to a point.
    struct State {
        uint64_t plain = 0;
        uint64_t member_start = 0;  // plain offset
        uint32_t crc = 0;           // of the member
        size_t filled = 0;          // bytes in the buffer behind the history
        Bytes buffer;               // 32 KiB of history, then what isn't hashed yet
    };

    void decode_member() {
        while (!decode_some()) {
        }
        const auto trailer = read_gzip_trailer(reader_);
        if (trailer.crc != now_.crc ||
            trailer.plain_size != static_cast<uint32_t>(now_.plain - now_.member_start)) {
            report_damage(packed_.place(reader_.offset()) +
                          ": the checksum there disagrees with what stands before it; something "
                          "before it is damaged");
        }
    }

    void report_damage(const std::string& line) const {
        if (!options_.on_damage) {
            fail(EUCLEAN, line);
        }
        options_.on_damage(line);
    }

    /// Decodes one input's worth; true at the member's end.
    bool decode_some() {
        auto packed = next_input();
        const bool source_ended = packed.empty();
        for (bool waiting = true; waiting;) {
            const auto out = ByteSpan(now_.buffer).subspan(kDeflateHistory + now_.filled);
            const auto step = inflater_->step(packed, out);
            reader_.take(step.taken);
            packed = packed.subspan(step.taken);
            if (step.damaged) {
                give_up_at_damage();
                return false;
            }
            if (source_ended && step.made == 0 && !step.at_end) {
                reader_.fail_at_end();
            }
            waiting = step.made == out.size();
            add(out.first(step.made));
            if (step.at_end) {
                reader_.go_to(reader_.offset() - step.unused_bytes);
                return true;
            }
            if (step.at_block) {
                offer_point(reader_.offset() * 8 - step.unused_bits);
            }
        }
        if (!inflater_->stops_at_blocks() && since_point() > 2 * kSeekSpacing) {
            go_back_to_zlib();
        }
        return false;
    }

    /// What is there; if a point is due and the decoder doesn't stop at blocks, up to the end of
    /// the next sync marker.
    ConstByteSpan next_input() {
        constexpr std::string_view kMarker("\0\0\xff\xff", 4);
        const auto all = reader_.available();
        if (inflater_->stops_at_blocks() || since_point() < kSeekSpacing) {
            return all;
        }
        const auto found = text_of(all).find(kMarker);
        return found == std::string_view::npos ? all : all.first(found + kMarker.size());
    }

    /// `made` follows what the buffer holds.
    void add(ConstByteSpan made) {
        now_.crc = gzip_crc(made, now_.crc);
        now_.filled += made.size();
        now_.plain += made.size();
        if (now_.filled == kPieceSize) {
            hash_pieces();
            if (options_.progress) {
                options_.progress(reader_.offset(), packed_.size());
            }
        }
    }

    /// Hashes what stands in the buffer and keeps its end as history.
    void hash_pieces() {
        const auto pieces = ConstByteSpan(now_.buffer).subspan(kDeflateHistory, now_.filled);
        for (size_t at = 0; at < pieces.size(); at += kHashedPiece) {
            index_.hashes.push_back(
                xxh3_64(pieces.subspan(at, std::min(kHashedPiece, pieces.size() - at))));
        }
        const auto history = now_.buffer.begin() + static_cast<ptrdiff_t>(now_.filled);
        std::copy(history, history + kDeflateHistory, now_.buffer.begin());
        now_.filled = 0;
    }

    uint64_t since_point() const { return now_.plain - index_.points.back().plain; }

    /// Up to 32 KiB of the member, just decoded.
    ConstByteSpan history() const {
        const auto size = std::min(now_.plain - now_.member_start, kDeflateHistory);
        return ConstByteSpan(now_.buffer).subspan(kDeflateHistory + now_.filled - size, size);
    }

    /// Takes a seek point here if the last one is far enough.
    void offer_point(uint64_t packed_bit) {
        if (!index_.points.empty() && since_point() < kSeekSpacing) {
            return;
        }
        const auto before = history();
        index_.points.push_back(
            {now_.plain, packed_bit, before.empty() ? Bytes() : pack_history(before)});
        if (!inflater_->stops_at_blocks()) {
            at_point_ = now_;
            hashes_at_point_ = index_.hashes.size();
        }
    }

    void give_up_at_damage() {
        if (inflater_->stops_at_blocks()) {
            reader_.fail_damaged(inflater_->message());
        }
        go_back_to_zlib();
    }

    void go_back_to_zlib() {
        now_ = at_point_;
        index_.hashes.resize(hashes_at_point_);
        inflater_ = make_zlib_inflater(Stops::at_blocks);
        start_at(reader_, *inflater_, index_.points.back().packed_bit, history());
    }

    const Source& packed_;
    const GzipIndexOptions& options_;
    PackedReader reader_;
    std::unique_ptr<Inflater> inflater_;
    GzipIndex index_;
    State now_;
    State at_point_;  // at the last point, while the decoder is ISA-L
    size_t hashes_at_point_ = 0;
};

/// Passes over the end of one member and the header of the next.
void enter_next_member(PackedReader& reader) {
    read_gzip_trailer(reader);
    if (!another_gzip_member(reader)) {
        reader.fail_at_end();
    }
    skip_gzip_header(reader);
}

}  // namespace

GzipIndex build_gzip_index(const Source& packed, const GzipIndexOptions& options) {
    return IndexPass(packed, options).run();
}

void decode_from(const Source& packed, const GzipSeekPoint& point, uint64_t begin, ByteSpan out,
                 InflateEngine engine) {
    PackedReader reader(packed, 0, 256 * kKiB);
    const auto inflater = make_inflater(engine, Stops::where_full);
    start_at(reader, *inflater, point.packed_bit, unpack_history(point.history));

    auto left_to_skip = begin - point.plain;
    Bytes skipped(std::min<uint64_t>(left_to_skip, kMiB));
    while (!out.empty()) {
        const auto target =
            left_to_skip == 0
                ? out
                : ByteSpan(skipped).first(std::min<uint64_t>(left_to_skip, skipped.size()));
        const auto available = reader.available();
        const auto step = inflater->step(available, target);
        reader.take(step.taken);
        if (step.damaged) {
            reader.fail_damaged(inflater->message());
        }
        if (left_to_skip == 0) {
            out = out.subspan(step.made);
        } else {
            left_to_skip -= step.made;
        }
        if (step.at_end && !out.empty()) {
            reader.go_to(reader.offset() - step.unused_bytes);
            enter_next_member(reader);
            inflater->reset();
        } else if (available.empty() && step.made == 0) {
            reader.fail_at_end();
        }
    }
}

}  // namespace imgfs
