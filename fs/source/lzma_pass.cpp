#include "fs/source/lzma_pass.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include "fs/base/error.h"
#include "fs/base/text.h"
#include "fs/source/lzma_decoder.h"
#include "fs/source/ordered_jobs.h"

namespace imgfs {
namespace {

constexpr uint64_t kJobMemory = 64 * kMiB;  // of more than one job
constexpr uint64_t kBesides = 8 * kMiB;     // of the pass: the packed bytes, what the sink gets
constexpr size_t kChunkSize = 64 * kKiB;    // plain bytes that the sink gets at once

/// Nothing that LZMA packs gets smaller than this; its best is near 7,100.
constexpr uint64_t kMostPlainPerPacked = 8192;

bool believable(const LzmaUnit& unit) {
    return unit.plain_size / kMostPlainPerPacked <= unit.packed_size;
}

bool small(const LzmaUnit& unit) {
    return unit.plain_size <= kWholeUnit;
}

/// A unit that was decoded to its end; or why it is damaged.
struct WholeUnit {
    std::deque<Bytes> pieces;
    std::string damage;
};

[[noreturn]] void fail_size(const LzmaUnits& units) {
    fail_damaged(units.packed(), units.place().packed,
                 "what is packed there has another size than the stream's own list says");
}

/// What damage `action` comes upon; empty if none.
template <typename Action>
std::string damage_in(Action action) {
    try {
        action();
    } catch (const std::system_error& error) {
        if (error.code().value() != EUCLEAN) {
            throw;
        }
        return message_of(error);
    }
    return {};
}

WholeUnit decode_whole(const LzmaFormat& format, const Source& packed, const LzmaUnit& unit) {
    WholeUnit whole;
    whole.damage = damage_in([&] {
        const auto units = format.units(packed, unit.place);
        units->next();
        uint64_t size = 0;
        const bool ended = units->decode_whole(unit.plain_size, whole.pieces);
        for (const auto& piece : whole.pieces) {
            size += piece.size();
        }
        if (!ended || size != unit.plain_size) {
            fail_size(*units);
        }
    });
    return whole;
}

class LzmaPass {
  public:
    LzmaPass(const LzmaFormat& format, const Source& packed, const PassStart& start, PassSink& sink)
        : format_(format),
          packed_(packed),
          start_(start.point),
          sink_(sink),
          plain_(start.point.plain),
          last_point_(start.point.plain),
          told_(start.point.plain != 0) {}

    void run() {
        const auto list = find_list();
        if (list && std::ranges::all_of(list->units, believable)) {
            walk(*list);
        } else {
            decode_in_order();
        }
        if (!told_) {
            sink_.point({});  // an empty stream
        }
    }

  private:
    /// None, too, where it lies in a part that can't be read.
    std::optional<LzmaUnitList> find_list() const {
        std::optional<LzmaUnitList> list;
        damage_in([&] { list = format_.list(packed_); });
        return list;
    }

    void walk(const LzmaUnitList& list) {
        const auto first = first_unit(list);
        const std::span left(first, list.units.end());
        if (list.all_checked && std::ranges::all_of(list.units, small)) {
            mode_ = LzmaMode::whole;
            skip(left);
        } else {
            decode_listed(left);
        }
    }

    /// The one that the pass starts at.
    std::vector<LzmaUnit>::const_iterator first_unit(const LzmaUnitList& list) const {
        uint64_t plain = 0;
        auto unit = list.units.begin();
        for (; unit != list.units.end() && plain < start_.plain; ++unit) {
            plain += unit->plain_size;
        }
        const bool fits = unit != list.units.end() && plain == start_.plain &&
                          unit->place.packed == start_.packed_bit / 8;
        if (start_.plain != 0 && !fits) {
            fail_damaged(packed_, start_.packed_bit / 8,
                         "no " + std::string(format_.unit) + " starts there, as the index says");
        }
        return unit;
    }

    void skip(std::span<const LzmaUnit> units) {
        if (!units.empty()) {
            refuse_too_much_memory(units.front());
        }
        for (const auto& unit : units) {
            offer_point(unit.place);
            sink_.skipped(unit.plain_size);
            plain_ += unit.plain_size;
            progress(unit.place.packed + unit.packed_size);
        }
    }

    /// Now, not at the first read.
    void refuse_too_much_memory(const LzmaUnit& unit) const {
        damage_in([&] {  // which the first read tells
            std::array<std::byte, 1> some{};
            const auto units = format_.units(packed_, unit.place);
            units->next();
            units->decode(some);
        });
    }

    void decode_listed(std::span<const LzmaUnit> units) {
        OrderedJobs jobs(kJobMemory);
        for (const auto& unit : units) {
            if (!small(unit)) {
                jobs.finish();
                decode_large(unit);
                continue;
            }
            const auto bytes = unit.plain_size + decoder_memory(unit.place, unit.plain_size);
            sink_.holds(std::max(bytes, kJobMemory) + kBesides);
            jobs.add(bytes, [this, &unit]() -> OrderedJobs::Report {
                return [this, &unit, whole = decode_whole(format_, packed_, unit)] {
                    tell(unit, whole);
                };
            });
        }
        jobs.finish();
    }

    /// For so many plain bytes of the unit there; the decoder says what damage there is.
    uint64_t decoder_memory(const LzmaPlace& place, uint64_t plain_size) const {
        uint64_t memory = 0;
        damage_in([&] { memory = lzma_unit_memory(format_, packed_, place); });
        return std::min(memory, plain_size + kMiB);
    }

    void tell(const LzmaUnit& unit, const WholeUnit& whole) {
        offer_point(unit.place);
        if (whole.damage.empty()) {
            give_out(unit.place, whole.pieces);
        } else {
            lose(unit.plain_size, whole.damage);
        }
        progress(unit.place.packed + unit.packed_size);
    }

    void give_out(const LzmaPlace& unit, const std::deque<Bytes>& pieces) {
        for (const auto& piece : pieces) {
            give_out(unit, piece);
        }
    }

    void give_out(const LzmaPlace& unit, ConstByteSpan plain) {
        if (!format_.is_checked(unit)) {
            sink_.unchecked(plain.size());
        }
        sink_.plain(plain);
        plain_ += plain.size();
    }

    void lose(uint64_t count, const std::string& why) {
        sink_.lost(count, why);
        plain_ += count;
    }

    void decode_large(const LzmaUnit& unit) {
        warn_of_large_unit(unit.place);
        sink_.holds(decoder_memory(unit.place, unit.plain_size) + kBesides);
        offer_point(unit.place);
        const auto start = plain_;
        const auto end = plain_ + unit.plain_size;
        const auto damage = damage_in([&] {
            const auto units = format_.units(packed_, unit.place);
            units->next();
            stream(*units, unit.plain_size);
            std::array<std::byte, 1> more{};
            if (plain_ != end || units->decode(more) != 0) {
                fail_size(*units);
            }
        });
        if (!damage.empty() && plain_ > start) {
            sink_.mismatch(damage);  // LZMA sees damage long after it has decoded it
        }
        if (plain_ < end) {
            lose(end - plain_, damage);
        }
        progress(unit.place.packed + unit.packed_size);
    }

    /// Gives out `most` bytes of the unit, or up to its end, before its check was reached.
    void stream(LzmaUnits& units, uint64_t most) {
        Bytes chunk(kChunkSize);
        while (most > 0) {
            const auto asked = std::min<uint64_t>(chunk.size(), most);
            const auto count = units.decode(ByteSpan(chunk).first(asked));
            give_out(units.place(), ConstByteSpan(chunk).first(count));
            progress(units.offset());
            most = count < asked ? 0 : most - count;
        }
    }

    void decode_in_order() {
        const auto units = format_.units(packed_, lzma_start(packed_, start_).place);
        if (start_.plain == 0 && !format_.without_list.empty()) {
            sink_.note(packed_.place(0) + ": " + std::string(format_.without_list));
        }
        while (units->next()) {
            decode_unlisted(*units);
        }
        if (units->offset() < packed_.size()) {
            sink_.note(packed_.place(units->offset()) +
                       ": the stream ends there; what stands behind it is not looked at");
        }
    }

    void decode_unlisted(LzmaUnits& units) {
        sink_.holds(decoder_memory(units.place(), kLzmaMemory) + kWholeUnit + kBesides);
        std::deque<Bytes> pieces;
        bool ended = false;
        try {
            ended = units.decode_whole(kWholeUnit, pieces);
        } catch (const std::system_error& error) {
            tell_unproven(error);
            give_out_unit(units, pieces);
            throw;
        }
        give_out_unit(units, pieces);
        if (ended) {
            return;
        }
        warn_of_large_unit(units.place());
        try {
            stream(units, UINT64_MAX);
        } catch (const std::system_error& error) {
            tell_unproven(error);
            throw;
        }
    }

    /// Nothing proves what stands in a unit before damage.
    void tell_unproven(const std::system_error& error) {
        if (error.code().value() == EUCLEAN) {
            sink_.mismatch(message_of(error));
        }
    }

    void give_out_unit(LzmaUnits& units, const std::deque<Bytes>& pieces) {
        if (!pieces.empty()) {
            offer_point(units.place());
        }
        give_out(units.place(), pieces);
        progress(units.offset());
    }

    void progress(uint64_t packed) {
        reached_ = std::max(reached_, packed);
        sink_.progress(reached_);
    }

    void warn_of_large_unit(const LzmaPlace& place) {
        if (!warned_) {
            sink_.note(packed_.place(place.packed) + ": the " + std::string(format_.unit) +
                       " there is large, and a read in it decodes all of it that stands before: "
                       "quick reads need it packed anew (" +
                       std::string(format_.unpacker) + " IMAGE | zstd -3 > IMAGE.zst)");
        }
        warned_ = true;
    }

    /// At the start of a unit; the next plain byte is at plain_.
    void offer_point(const LzmaPlace& place) {
        if (told_ && plain_ < last_point_ + kHashedPiece) {
            return;
        }
        sink_.point({plain_, place.packed * 8, lzma_state(mode_, place.kind)});
        last_point_ = plain_;
        told_ = true;
    }

    const LzmaFormat& format_;
    const Source& packed_;
    const SeekPoint& start_;
    PassSink& sink_;
    LzmaMode mode_ = LzmaMode::streamed;
    uint64_t plain_;        // of the next byte
    uint64_t last_point_;   // its plain offset
    bool told_;             // there is a last point
    uint64_t reached_ = 0;  // in the packed stream
    bool warned_ = false;
};

}  // namespace

void pass_lzma_units(const LzmaFormat& format, const Source& packed, const PassStart& start,
                     PassSink& sink) {
    LzmaPass(format, packed, start, sink).run();
}

}  // namespace imgfs
