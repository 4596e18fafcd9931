#include "fs/source/lzop.h"

#include <memory>
#include <utility>
#include <vector>

#include "fs/source/lzop_file.h"
#include "fs/source/ordered_jobs.h"
#include "fs/source/packed_state.h"

namespace imgfs {
namespace {

using Event = LzopReader::Event;

constexpr size_t kWalkReads = 4 * kKiB;  // little more than a block's header
constexpr size_t kReads = 512 * kKiB;
constexpr size_t kGroup = kMiB;  // plain bytes of the blocks that make one job
constexpr uint64_t kMemory = 48 * kMiB;
constexpr uint64_t kProgress = 4 * kMiB;

/// At the start of a file there are none.
std::optional<LzopFlags> flags_in(const SeekPoint& point) {
    if (point.state.empty()) {
        return std::nullopt;
    }
    if (point.state.size() != sizeof(uint32_t)) {
        fail_damaged_index();
    }
    return LzopFlags{le32(point.state, 0)};
}

/// A block with its bytes, or one that needn't be decoded.
struct Part {
    LzopBlock block;
    LzopFlags flags;
    Bytes data;
    bool skipped = false;
    bool last = false;  // of its file
    bool good = false;
};

/// Parts that follow each other.
struct Group {
    std::vector<Part> parts;
    uint64_t plain_size = 0;
    uint64_t packed_size = 0;
    std::shared_ptr<std::byte[]> plain;  // shared, because a std::function can be copied
};

void decode(Group& group) {
    group.plain = std::make_shared_for_overwrite<std::byte[]>(group.plain_size);
    auto* to = group.plain.get();
    for (auto& part : group.parts) {
        if (!part.skipped) {
            part.good = decode_lzop(part.block, part.data, {to, part.block.plain_size});
            to += part.block.plain_size;
        }
    }
}

class LzopPass {
  public:
    LzopPass(const Source& packed, const PassStart& start, const PassOptions& options,
             PassSink& sink)
        : packed_(packed),
          sink_(sink),
          spacing_(options.dense ? kUsualLzopBlock : 2 * kMiB),
          plain_(start.point.plain),
          last_point_(start.point.plain),
          reader_(packed, plain_ == 0 ? 0 : start.point.packed_bit / 8,
                  plain_ == 0 ? std::nullopt : flags_in(start.point), kWalkReads),
          jobs_(kMemory) {}

    void run() {
        if (plain_ == 0) {
            sink_.point({});
        }
        for (auto event = next(); event != Event::end; event = next()) {
            if (event == Event::block) {
                add_block();
            } else if (event == Event::file_end && !group_.parts.empty()) {
                group_.parts.back().last = true;
                give_group();
            }
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
        if (group_.plain_size >= kGroup || group_.parts.size() >= kGroup / kKiB) {
            give_group();
        }
        Part part{.block = reader_.block(), .flags = reader_.flags()};
        part.skipped = part.flags.plain_is_checked() && part.block.plain_size == kUsualLzopBlock;
        if (!part.skipped) {
            part.data = reader_.data();
            group_.plain_size += part.block.plain_size;
            group_.packed_size += part.block.packed_size;
        }
        group_.parts.push_back(std::move(part));
    }

    void give_group() {
        const auto held = group_.plain_size + group_.packed_size;
        auto group = std::exchange(group_, {});
        jobs_.add(held, [this, group = std::move(group)]() mutable -> OrderedJobs::Report {
            decode(group);
            return [this, group = std::move(group)] { tell(group); };
        });
    }

    // From here on in the order of the stream, as the jobs' reports.

    void tell(const Group& group) {
        const auto* from = group.plain.get();
        for (const auto& part : group.parts) {
            const auto size = part.block.plain_size;
            offer_point(part);
            if (part.skipped) {
                sink_.skipped(size);
            } else {
                tell_decoded(part, {from, size});
                from += size;
            }
            plain_ += size;
            if (part.block.end() - told_progress_ >= kProgress) {
                told_progress_ = part.block.end();
                sink_.progress(told_progress_);
            }
        }
    }

    void offer_point(const Part& part) {
        if (plain_ - last_point_ < (lost_ ? kHashedPiece : spacing_)) {
            return;
        }
        lost_ = false;
        SeekPoint point{.plain = plain_, .packed_bit = part.block.offset * 8, .state = Bytes(4)};
        store(point.state, 0, part.flags.bits);
        sink_.point(std::move(point));
        last_point_ = plain_;
    }

    void tell_decoded(const Part& part, ConstByteSpan plain) {
        if (part.good) {
            if (!part.block.is_checked()) {
                sink_.unchecked(plain.size());
            }
            sink_.plain(plain);
            return;
        }
        if (part.block.plain_size != kUsualLzopBlock && !part.last) {
            fail_lzop_block(packed_, part.block);  // it may be its size that is damaged
        }
        lost_ = true;
        sink_.lost(plain.size(), packed_.place(part.block.offset) + ": a block of " +
                                     std::to_string(plain.size()) + " bytes is damaged");
    }

    const Source& packed_;
    PassSink& sink_;
    const uint64_t spacing_;
    uint64_t plain_;
    uint64_t last_point_;
    bool lost_ = false;  // something since then: what is behind it needs a point of its own
    uint64_t told_progress_ = 0;
    LzopReader reader_;
    Group group_;       // that is being collected
    OrderedJobs jobs_;  // last, so that its threads end first
};

class LzopDecoder final : public Decoder {
  public:
    LzopDecoder(const Source& packed, uint64_t offset, std::optional<LzopFlags> flags)
        : packed_(packed), reader_(packed, offset, flags, kReads) {}

    void read(ByteSpan out) override {
        while (!out.empty()) {
            if (given_ == plain_.size()) {
                out = out.subspan(enter_next_block(out));
                continue;
            }
            const auto count = std::min(out.size(), plain_.size() - given_);
            std::copy_n(plain_.begin() + std::ptrdiff_t(given_), count, out.begin());
            given_ += count;
            out = out.subspan(count);
        }
    }

  private:
    /// Returns how many bytes it gave out at once.
    size_t enter_next_block(ByteSpan out) {
        for (auto event = reader_.next(); event != Event::block; event = reader_.next()) {
            if (event == Event::end) {
                fail_cut_short(packed_);
            }
        }
        const auto& block = reader_.block();
        const auto data = reader_.data();
        given_ = 0;
        plain_.clear();
        const bool at_once = out.size() >= block.plain_size;
        if (!at_once) {
            plain_.resize(block.plain_size);
        }
        if (!decode_lzop(block, data, at_once ? out.first(block.plain_size) : ByteSpan(plain_))) {
            plain_.clear();
            fail_lzop_block(packed_, block);
        }
        return at_once ? block.plain_size : 0;
    }

    const Source& packed_;
    LzopReader reader_;
    Bytes plain_;       // of one block
    size_t given_ = 0;  // of these
};

}  // namespace

bool starts_lzop(ConstByteSpan start) {
    return text_of(start).starts_with(std::string_view("\x89LZO\0\r\n\x1a\n", 9));
}

void pass_lzop(const Source& packed, const PassStart& start, const PassOptions& options,
               PassSink& sink) {
    check_inside(packed, start.point);
    LzopPass(packed, start, options, sink).run();
}

std::unique_ptr<Decoder> open_lzop(const Source& packed, const SeekPoint& point) {
    check_inside(packed, point);
    return std::make_unique<LzopDecoder>(packed, point.packed_bit / 8, flags_in(point));
}

}  // namespace imgfs
