#include <algorithm>
#include <optional>
#include <utility>

#include "fs/source/packed_reader.h"
#include "fs/source/packed_state.h"
#include "fs/source/zstd.h"
#include "fs/source/zstd_context.h"
#include "fs/source/zstd_frame.h"
#include "fs/source/zstd_state.h"

namespace imgfs {
namespace {

constexpr size_t kReadSize = 256 * kKiB;
constexpr uint64_t kBesides = kMiB;  // the reader's bytes, a block, tables

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
    static uint64_t offset_of(const Source& packed, const SeekPoint& point) {
        const auto offset = point.packed_bit / 8;
        if (point.packed_bit % 8 != 0 || offset > packed.size()) {
            fail_damaged_index();
        }
        return offset;
    }

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
    return std::make_unique<ZstdDecoder>(packed, point);
}

}  // namespace imgfs
