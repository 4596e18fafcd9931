#include <memory>
#include <utility>

#include "fs/source/lz4.h"
#include "fs/source/lz4_block.h"
#include "fs/source/ordered_jobs.h"
#include "fs/source/packed_state.h"
#include "fs/source/unfilled_bytes.h"

namespace imgfs {
namespace {

using Event = Lz4Reader::Event;

constexpr size_t kReads = kMiB;
constexpr size_t kGroup = kMiB;  // plain bytes of the blocks that make one job
constexpr uint64_t kMemory = 32 * kMiB;

/// Blocks of one frame that follow each other.
struct Group {
    Lz4Frame frame;
    std::vector<Lz4Block> blocks;
    uint64_t packed_end = 0;
    bool ends_frame = false;

    uint64_t plain_room() const { return blocks.size() * frame.block_size(); }
    uint64_t held() const {
        uint64_t held = frame.linked() ? 0 : plain_room();
        for (const auto& block : blocks) {
            held += block.packed.capacity();
        }
        return held;
    }
};

/// Plain bytes of a group's blocks, each with room for a full one.
struct Decoded {
    std::shared_ptr<UnfilledBytes> plain;  // shared, because a std::function can be copied
    std::vector<std::optional<size_t>> sizes;
};

Decoded decode(const Group& group, UnfilledBytes memory) {
    const auto room = group.frame.block_size();
    Decoded decoded{.plain = std::make_shared<UnfilledBytes>(std::move(memory))};
    auto to = decoded.plain->first(group.plain_room());
    for (const auto& block : group.blocks) {
        decoded.sizes.push_back(decode_lz4(block, {}, to.first(room)));
        to = to.subspan(room);
    }
    return decoded;
}

uint64_t spacing(const Lz4Frame& frame, const PassOptions& options) {
    // A linked block's point holds some 30 KiB.
    return (frame.linked() ? 8 * kMiB : 4 * kMiB) / (options.dense ? 4 : 1);
}

class Lz4Pass {
  public:
    Lz4Pass(const Source& packed, const PassStart& start, const PassOptions& options,
            PassSink& sink)
        : packed_(packed),
          options_(options),
          sink_(sink),
          plain_(start.point.plain),
          last_point_(start.point.plain),
          place_(plain_ == 0 ? std::nullopt : lz4_place(start.point)),
          reader_(packed, plain_ == 0 ? 0 : start.point.packed_bit / 8,
                  place_ ? std::optional(place_->frame) : std::nullopt, kReads),
          jobs_(kMemory) {
        if (place_ && place_->frame.linked()) {
            window_.emplace(place_->frame, place_->history);
        }
    }

    void run() {
        if (plain_ == 0) {
            sink_.point({});
        }
        for (auto event = next(); event != Event::end; event = next()) {
            if (event == Event::block) {
                add_block();
                continue;
            }
            group_.ends_frame = event == Event::frame_end;
            give_group();
            give_event(event);
        }
        jobs_.finish();
    }

  private:
    Event next() {
        try {
            return reader_.next();
        } catch (...) {
            give_group();  // what stands before it comes first
            jobs_.finish();
            throw;
        }
    }

    void add_block() {
        if (!group_.blocks.empty() && group_.plain_room() >= kGroup) {
            give_group();
        }
        group_.frame = reader_.frame();
        group_.blocks.push_back(reader_.take_block());
        group_.packed_end = reader_.offset();
    }

    void give_group() {
        if (group_.blocks.empty()) {
            return;
        }
        const auto held = group_.held();
        auto group = std::exchange(group_, {});
        jobs_.add(held, [this, group = std::move(group)]() mutable -> OrderedJobs::Report {
            auto decoded =
                group.frame.linked() ? Decoded{} : decode(group, spares_.take(group.plain_room()));
            return [this, group = std::move(group), decoded = std::move(decoded)]() mutable {
                take(group, decoded);
                give_back(group, decoded);
            };
        });
    }

    void give_back(Group& group, const Decoded& decoded) {
        for (auto& block : group.blocks) {
            reader_.give_back(std::move(block));
        }
        if (decoded.plain) {
            spares_.give_back(std::move(*decoded.plain));
        }
    }

    void give_event(Event event) {
        jobs_.add(0,
                  [this, event, frame = reader_.frame(), checksum = reader_.checksum(),
                   offset = reader_.offset()]() -> OrderedJobs::Report {
                      return [this, event, frame, checksum, offset] {
                          event == Event::frame ? begin_frame(frame) : end_frame(checksum, offset);
                      };
                  });
    }

    // From here on in the order of the stream, as the jobs' reports.

    void begin_frame(const Lz4Frame& frame) {
        place_ = Lz4Place{.frame = frame};
        window_.reset();
        if (frame.linked()) {
            window_.emplace(frame, ConstByteSpan());
        }
    }

    void end_frame(std::optional<uint32_t> checksum, uint64_t offset) {
        if (place_->incomplete) {
            return;
        }
        const auto& frame = place_->frame;
        const bool size_agrees =
            frame.content_size == Lz4Frame::kUnknown || frame.content_size == place_->frame_plain;
        if (!size_agrees || (checksum && *checksum != place_->checksum.digest())) {
            sink_.mismatch(packed_.place(offset) + ": the " +
                           (size_agrees ? "checksum" : "frame's size") +
                           " there disagrees with what stands before it; something before it is "
                           "damaged");
        }
    }

    void take(const Group& group, const Decoded& decoded) {
        for (size_t i = 0; i < group.blocks.size(); ++i) {
            const auto& block = group.blocks[i];
            const bool last = group.ends_frame && i + 1 == group.blocks.size();
            offer_point(block.offset);
            if (window_) {
                const auto plain = window_->decode(block);
                if (!plain) {
                    fail_lz4_block(packed_, block.offset);
                }
                tell(*plain, last);
            } else if (const auto size = decoded.sizes[i]) {
                const auto room = group.frame.block_size();
                tell(decoded.plain->first((i + 1) * room).subspan(i * room, *size), last);
            } else {
                lose(block.offset, last);
            }
        }
        sink_.progress(group.packed_end);
    }

    void offer_point(uint64_t offset) {
        if (plain_ - last_point_ < (lost_ ? kHashedPiece : spacing(place_->frame, options_))) {
            return;
        }
        lost_ = false;
        if (window_) {
            place_->history.assign(window_->history().begin(), window_->history().end());
        }
        sink_.point({.plain = plain_, .packed_bit = offset * 8, .state = place_->state()});
        last_point_ = plain_;
    }

    void tell(ConstByteSpan plain, bool last) {
        if (place_->frame.has_checksum()) {
            place_->checksum.update(plain);
        }
        place_->irregular =
            place_->irregular || (!last && plain.size() != place_->frame.block_size());
        place_->frame_plain += plain.size();
        plain_ += plain.size();
        if (!place_->frame.has_checksum() && !place_->frame.has_block_checksums()) {
            sink_.unchecked(plain.size());
        }
        sink_.plain(plain);
    }

    /// All blocks but the last are full, unless others of the frame weren't.
    void lose(uint64_t offset, bool last) {
        const auto& frame = place_->frame;
        auto size = frame.block_size();
        if (last && frame.content_size != Lz4Frame::kUnknown) {
            size = frame.content_size - place_->frame_plain;
        }
        const bool known = last ? frame.content_size != Lz4Frame::kUnknown : !place_->irregular;
        if (!known || size > frame.block_size()) {
            fail_lz4_block(packed_, offset);
        }
        place_->incomplete = true;
        lost_ = true;
        place_->frame_plain += size;
        plain_ += size;
        sink_.lost(size, packed_.place(offset) + ": a block of " + std::to_string(size) +
                             " bytes is damaged");
    }

    const Source& packed_;
    const PassOptions options_;
    PassSink& sink_;
    uint64_t plain_;
    uint64_t last_point_;
    bool lost_ = false;  // something since then: what is behind it needs a point of its own
    std::optional<Lz4Place> place_;    // the frame that the reports are in
    std::optional<Lz4Window> window_;  // if its blocks are linked
    Lz4Reader reader_;
    Group group_;        // that is being collected
    SpareBytes spares_;  // for what groups are decoded to
    OrderedJobs jobs_;   // last, so that its threads end first
};

}  // namespace

bool starts_lz4(ConstByteSpan start) {
    const auto text = text_of(start);
    return text.starts_with("\x04\x22\x4d\x18") || text.starts_with("\x02\x21\x4c\x18");
}

void pass_lz4(const Source& packed, const PassStart& start, const PassOptions& options,
              PassSink& sink) {
    check_inside(packed, start.point);
    Lz4Pass(packed, start, options, sink).run();
}

}  // namespace imgfs
