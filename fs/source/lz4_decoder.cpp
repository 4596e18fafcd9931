#include "fs/source/lz4.h"
#include "fs/source/lz4_block.h"
#include "fs/source/packed_state.h"

namespace imgfs {
namespace {

using Event = Lz4Reader::Event;

constexpr size_t kReads = 256 * kKiB;

class Lz4Decoder final : public Decoder {
  public:
    Lz4Decoder(const Source& packed, uint64_t offset, const std::optional<Lz4Place>& place)
        : packed_(packed),
          reader_(packed, offset, place ? std::optional(place->frame) : std::nullopt, kReads) {
        if (place && place->frame.linked()) {
            window_.emplace(place->frame, place->history);
        }
    }

    void read(ByteSpan out) override {
        while (!out.empty()) {
            if (given_ == ready_.size()) {
                out = out.subspan(enter_next_block(out));
                continue;
            }
            const auto count = std::min(out.size(), ready_.size() - given_);
            std::ranges::copy(ready_.subspan(given_, count), out.begin());
            given_ += count;
            out = out.subspan(count);
        }
    }

  private:
    /// Returns how many bytes it gave out at once.
    size_t enter_next_block(ByteSpan out) {
        reader_.give_back(std::move(block_));
        for (auto event = reader_.next(); event != Event::block; event = reader_.next()) {
            if (event == Event::end) {
                fail_cut_short(packed_);
            }
            window_.reset();
            if (event == Event::frame && reader_.frame().linked()) {
                window_.emplace(reader_.frame(), ConstByteSpan());
            }
        }
        block_ = reader_.take_block();
        ready_ = {};
        given_ = 0;
        const auto room = reader_.frame().block_size();
        if (window_) {
            ready_ = good(window_->decode(block_));
        } else if (out.size() >= room) {
            return good(decode_lz4(block_, {}, out.first(room)));
        } else {
            buffer_.resize(room);
            ready_ = ByteSpan(buffer_).first(good(decode_lz4(block_, {}, buffer_)));
        }
        return 0;
    }

    template <typename Value>
    Value good(const std::optional<Value>& value) const {
        if (!value) {
            fail_lz4_block(packed_, block_.offset);
        }
        return *value;
    }

    const Source& packed_;
    Lz4Reader reader_;
    std::optional<Lz4Window> window_;  // where blocks are linked
    Lz4Block block_;
    Bytes buffer_;
    ConstByteSpan ready_;  // plain bytes of the block, in the buffer or the window
    size_t given_ = 0;     // of these
};

}  // namespace

std::unique_ptr<Decoder> open_lz4(const Source& packed, const SeekPoint& point) {
    check_inside(packed, point);
    return std::make_unique<Lz4Decoder>(packed, point.packed_bit / 8, lz4_place(point));
}

}  // namespace imgfs
