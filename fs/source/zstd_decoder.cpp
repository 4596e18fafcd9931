#include <algorithm>
#include <optional>
#include <utility>

#include "fs/source/packed_reader.h"
#include "fs/source/packed_state.h"
#include "fs/source/unfilled_bytes.h"
#include "fs/source/zstd.h"
#include "fs/source/zstd_context.h"
#include "fs/source/zstd_frame.h"
#include "fs/source/zstd_seek_table.h"
#include "fs/source/zstd_state.h"

namespace imgfs {
namespace {

constexpr size_t kReadSize = 256 * kKiB;
constexpr uint64_t kBesides = kMiB;  // the reader's bytes, a block, tables

// With a larger window all up to the next point is decoded at once: libzstd then neither copies the
// dictionary, nearly all of which nothing refers to, nor keeps a window.
constexpr uint64_t kLargeWindow = 8 * kMiB;
constexpr uint64_t kWholeMost = 64 * kMiB;  // packed or plain
constexpr uint64_t kBlocksBehind = 24;      // the next point

/// The blocks from `begin` up to `next`, where the next point stands, and some behind it, as a
/// frame: what a point serves for goes on up to kHashedPiece behind the next one. Nothing if they
/// can't be one.
std::optional<Bytes> frame_of_blocks(const Source& packed, uint64_t begin, uint64_t next,
                                     uint64_t window) {
    auto frame = zstd_header_for(window);
    const auto start = frame.size();
    const auto most = next - begin + kHashedPiece + kZstdBlockMost;
    frame.resize(start + std::min(most, packed.size() - begin));
    packed.read(begin, ByteSpan(frame).subspan(start));
    auto last = frame.end();
    auto at = start;
    uint64_t behind = 0;
    uint64_t behind_size = 0;  // plain bytes are hardly ever fewer than packed ones
    while (behind < kBlocksBehind && behind_size < kHashedPiece &&
           frame.size() - at > kZstdBlockHeader) {
        const auto block = zstd_block_header(ConstByteSpan(frame).subspan(at));
        const auto size = kZstdBlockHeader + block.body();
        if (!is_sound(block, window)) {
            return std::nullopt;
        }
        if (size > frame.size() - at) {
            break;
        }
        last = frame.begin() + static_cast<ptrdiff_t>(at);
        if (begin + at - start >= next) {
            ++behind;
            behind_size += block.size;
        }
        at += size;
        if (block.last) {
            break;
        }
    }
    if (last == frame.end()) {
        return std::nullopt;
    }
    *last |= std::byte{1};
    frame.resize(at);
    return frame;
}

uint64_t offset_of(const Source& packed, const SeekPoint& point) {
    const auto offset = point.packed_bit / 8;
    if (point.packed_bit % 8 != 0 || offset > packed.size()) {
        fail_damaged_index();
    }
    return offset;
}

/// All up to the next point in one call, or NotAtOnce.
class ZstdDecoderAtOnce final : public Decoder {
  public:
    ZstdDecoderAtOnce(const Source& packed, const SeekPoint& point, const ZstdNeeds& needs)
        : packed_(packed),
          state_(point.state),
          needs_(needs),
          begin_(offset_of(packed, point)),
          next_(point.next_bit / 8),
          most_(point.end - point.plain + kBlocksBehind * kZstdBlockMost) {}

    static bool serves(const Source& packed, const SeekPoint& point, const ZstdNeeds& needs) {
        const auto begin = offset_of(packed, point);
        const auto next = point.next_bit / 8;
        return needs.window > kLargeWindow && next > begin && next <= packed.size() &&
               next - begin <= kWholeMost && point.end > point.plain &&
               point.end - point.plain <= kWholeMost;
    }

    void read(ByteSpan out) override {
        if (whole_.size() == 0) {
            decode_whole();
        }
        if (out.size() > size_ - given_) {
            throw NotAtOnce();
        }
        std::ranges::copy(whole_.first(size_).subspan(given_, out.size()), out.begin());
        given_ += out.size();
    }

    uint64_t memory(uint64_t /*length*/) const override {
        return needs_.touched + (next_ - begin_) + most_ + kBesides;
    }

    bool has_more() const override { return given_ < size_; }

  private:
    void decode_whole() {
        const auto frame = readable_frame();
        if (!frame) {
            throw NotAtOnce();
        }
        const auto state = unpacked_zstd_state(std::exchange(state_, {}));
        whole_ = UnfilledBytes(most_);
        size_ = ZstdContext()
                    .decode(*frame, ConstByteSpan(state.dictionary), whole_.first(most_))
                    .value_or(0);
    }

    std::optional<Bytes> readable_frame() const {
        try {
            return frame_of_blocks(packed_, begin_, next_, needs_.window);
        } catch (const std::system_error&) {
            return std::nullopt;  // of some of it more may be readable
        }
    }

    const Source& packed_;
    Bytes state_;  // of the point, until the first read
    const ZstdNeeds needs_;
    const uint64_t begin_;
    const uint64_t next_;  // where the next point stands
    const uint64_t most_;  // plain bytes up to there and behind it
    UnfilledBytes whole_;
    size_t size_ = 0;
    size_t given_ = 0;  // of these
};

class ZstdDecoder final : public Decoder {
  public:
    ZstdDecoder(const Source& packed, const SeekPoint& point)
        : packed_(packed),
          reader_(packed, offset_of(packed, point), kReadSize),
          state_(point.state),
          needs_(state_.empty() ? needs_of_frame() : needs_of_zstd_state(point)) {}

    void read(ByteSpan out) override {
        if (!context_) {
            context_.emplace();
            if (!state_.empty()) {
                start_inside_frame();
            }
        }
        while (!out.empty()) {
            if (!in_frame_) {
                start_frame();
            }
            out = out.subspan(decode_some(out));
        }
        // Where the frame's last bytes were the last that fit, its checksum may still be ahead.
        while (in_frame_ && reader_.is_empty() && reader_.offset() < packed_.size()) {
            decode_some({});
        }
    }

    /// Of the window, what is never decoded is never touched.
    uint64_t memory(uint64_t length) const override {
        return needs_.dictionary + std::min(needs_.window, length) + kBesides;
    }

  private:
    /// Of the frame there; those behind it are as a rule like it.
    ZstdNeeds needs_of_frame() const {
        const auto frame = next_content_frame();
        return {.window = frame ? frame->second.window : 0};
    }

    /// The next frame that isn't skippable, and where it starts.
    std::optional<std::pair<uint64_t, ZstdFrame>> next_content_frame() const {
        auto at = reader_.offset();
        while (const auto frame = next_zstd_frame(packed_, at)) {
            if (!frame->skippable) {
                return std::pair(at, *frame);
            }
            at += frame->packed_size;
        }
        return std::nullopt;
    }

    /// The frame goes on under a header that asks for nothing but a window.
    void start_inside_frame() {
        const auto state = unpacked_zstd_state(std::exchange(state_, {}));
        if (!context_->start(state.dictionary) ||
            context_->step(zstd_header_for(state.place.window), {}).damaged) {
            fail_damaged_index();
        }
        in_frame_ = true;
        unchecked_ = state.place.checksum ? kZstdChecksum : 0;
    }

    void start_frame() {
        const auto frame = next_content_frame();
        if (!frame) {
            reader_.fail_at_end();
        }
        reader_.go_to(frame->first);
        context_->start({});
        in_frame_ = true;
    }

    /// Plain bytes made.
    size_t decode_some(ByteSpan out) {
        const auto available = reader_.available();
        if (available.empty()) {
            reader_.fail_at_end();
        }
        const auto step = context_->step(available, out);
        reader_.take(step.taken);
        if (step.damaged) {
            reader_.fail_damaged(context_->message());
        }
        if (step.at_end) {
            end_frame();
        }
        return step.made;
    }

    void end_frame() {
        if (packed_.size() - reader_.offset() < unchecked_) {
            reader_.fail_at_end();
        }
        reader_.go_to(reader_.offset() + unchecked_);
        unchecked_ = 0;
        in_frame_ = false;
    }

    const Source& packed_;
    PackedReader reader_;
    Bytes state_;  // of the point, until the first read
    const ZstdNeeds needs_;
    std::optional<ZstdContext> context_;  // from the first read on
    bool in_frame_ = false;
    uint64_t unchecked_ = 0;  // bytes of a checksum that covers more than was decoded here
};

}  // namespace

std::unique_ptr<Decoder> open_zstd(const Source& packed, const SeekPoint& point) {
    if (is_listed_frame(point.state)) {
        return open_listed_frame(packed, point);
    }
    if (!point.state.empty() && point.next_bit != 0) {
        const auto needs = needs_of_zstd_state(point);
        if (ZstdDecoderAtOnce::serves(packed, point, needs)) {
            return std::make_unique<ZstdDecoderAtOnce>(packed, point, needs);
        }
    }
    return std::make_unique<ZstdDecoder>(packed, point);
}

}  // namespace imgfs
