#include "fs/source/packed_reader.h"
#include "fs/source/packed_state.h"
#include "fs/source/zstd.h"
#include "fs/source/zstd_context.h"
#include "fs/source/zstd_frame.h"
#include "fs/source/zstd_state.h"

namespace imgfs {
namespace {

constexpr size_t kReadSize = 256 * kKiB;

class ZstdDecoder final : public Decoder {
  public:
    ZstdDecoder(const Source& packed, const SeekPoint& point)
        : packed_(packed), reader_(packed, offset_of(packed, point), kReadSize) {
        if (!point.state.empty()) {
            start_inside_frame(point.state);
        }
    }

    void read(ByteSpan out) override {
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

    uint64_t memory() const override { return context_.memory(); }

  private:
    static uint64_t offset_of(const Source& packed, const SeekPoint& point) {
        const auto offset = point.packed_bit / 8;
        if (point.packed_bit % 8 != 0 || offset > packed.size()) {
            fail_damaged_index();
        }
        return offset;
    }

    /// The frame goes on under a header that asks for nothing but a window.
    void start_inside_frame(ConstByteSpan packed_state) {
        const auto state = unpacked_zstd_state(packed_state);
        if (!context_.start(state.dictionary) ||
            context_.step(zstd_header_for(state.place.window), {}).damaged) {
            fail_damaged_index();
        }
        in_frame_ = true;
        unchecked_ = state.place.checksum ? kZstdChecksum : 0;
    }

    void start_frame() {
        auto at = reader_.offset();
        while (const auto frame = next_zstd_frame(packed_, at)) {
            if (!frame->skippable) {
                reader_.go_to(at);
                context_.start({});
                in_frame_ = true;
                return;
            }
            at += frame->packed_size;
        }
        reader_.fail_at_end();
    }

    /// Plain bytes made.
    size_t decode_some(ByteSpan out) {
        const auto available = reader_.available();
        if (available.empty()) {
            reader_.fail_at_end();
        }
        const auto step = context_.step(available, out);
        reader_.take(step.taken);
        if (step.damaged) {
            reader_.fail_damaged(context_.message());
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
    ZstdContext context_;
    bool in_frame_ = false;
    uint64_t unchecked_ = 0;  // bytes of a checksum that covers more than was decoded here
};

}  // namespace

std::unique_ptr<Decoder> open_zstd(const Source& packed, const SeekPoint& point) {
    return std::make_unique<ZstdDecoder>(packed, point);
}

}  // namespace imgfs
