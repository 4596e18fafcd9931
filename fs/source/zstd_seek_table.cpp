// The layout stands in zstd_packing.cpp; a table may also lack the checksums, and then is of no use
// here.
#include "fs/source/zstd_seek_table.h"

#include <algorithm>
#include <array>

#include "fs/base/checksum.h"
#include "fs/source/packed_reader.h"
#include "fs/source/packed_state.h"
#include "fs/source/zstd_context.h"

namespace imgfs {
namespace {

constexpr uint32_t kTableMagic = 0x184d2a5e;
constexpr uint32_t kFootMagic = 0x8f92eab1;
constexpr std::byte kHasChecksums{0x80};
constexpr uint64_t kHead = 8;
constexpr uint64_t kFoot = 9;
constexpr uint64_t kFramesMost = 4'000'000;
constexpr uint32_t kPlainMost = 4 * kMiB;  // quickly decoded as a whole
constexpr uint32_t kPackedMost = 2 * kPlainMost;

ListedFrame frame_at(ConstByteSpan bytes, size_t offset) {
    return {.packed_size = le32(bytes, offset),
            .plain_size = le32(bytes, offset + 4),
            .checksum = le32(bytes, offset + 8)};
}

Bytes state_of(const ListedFrame& frame) {
    Bytes state(ListedFrame::kStateSize);
    store(state, 0, frame.packed_size);
    store(state, 4, frame.plain_size);
    store(state, 8, frame.checksum);
    return state;
}

bool is_sound(const ListedFrame& frame) {
    return frame.packed_size != 0 && frame.packed_size <= kPackedMost && frame.plain_size != 0 &&
           frame.plain_size <= kPlainMost;
}

/// Bytes of the table with its entries; 0 if there is none.
uint64_t table_size(const Source& packed) {
    if (packed.size() < kHead + kFoot) {
        return 0;
    }
    std::array<std::byte, kFoot> foot{};
    packed.read(packed.size() - kFoot, foot);
    const uint64_t count = le32(foot, 0);
    const auto size = kHead + count * ListedFrame::kStateSize + kFoot;
    const bool fits = le32(foot, 5) == kFootMagic && foot[4] == kHasChecksums && count != 0 &&
                      count <= kFramesMost && size <= packed.size();
    return fits ? size : 0;
}

/// They are all of the stream before the table, and a point serves for its frame alone.
bool fit(const std::vector<ListedFrame>& frames, uint64_t table_start) {
    uint64_t packed = 0;
    for (const auto& frame : frames) {
        packed += frame.packed_size;
    }
    return packed == table_start && std::ranges::all_of(frames, is_sound) &&
           std::all_of(frames.begin(), frames.end() - 1, [](const ListedFrame& frame) {
               return frame.plain_size % kHashedPiece == 0;
           });
}

class ListedFrameDecoder final : public Decoder {
  public:
    ListedFrameDecoder(const Source& packed, const SeekPoint& point)
        : packed_(packed), offset_(point.packed_bit / 8), frame_(frame_at(point.state, 0)) {
        const bool inside = point.packed_bit % 8 == 0 && offset_ <= packed.size() &&
                            frame_.packed_size <= packed.size() - offset_;
        if (!inside || !is_sound(frame_)) {
            fail_damaged_index();
        }
    }

    void read(ByteSpan out) override {
        if (plain_.empty()) {
            decode_whole();
        }
        if (out.size() > plain_.size() - given_) {
            fail_damaged_index();
        }
        std::ranges::copy(ConstByteSpan(plain_).subspan(given_, out.size()), out.begin());
        given_ += out.size();
    }

    uint64_t memory(uint64_t /*length*/) const override {
        return frame_.packed_size + frame_.plain_size + kMiB;
    }

    bool has_more() const override { return given_ < plain_.size(); }

  private:
    void decode_whole() {
        Bytes packed(frame_.packed_size);
        packed_.read(offset_, packed);
        Bytes plain(frame_.plain_size);
        const auto size = ZstdContext().decode(packed, {}, plain);
        if (size != plain.size() || static_cast<uint32_t>(xxh64(plain)) != frame_.checksum) {
            fail_damaged(packed_, offset_,
                         "the zstd frame there isn't what the stream's seek table says");
        }
        plain_ = std::move(plain);
    }

    const Source& packed_;
    const uint64_t offset_;
    const ListedFrame frame_;
    Bytes plain_;  // of the frame, from the first read on
    size_t given_ = 0;
};

}  // namespace

std::optional<std::vector<ListedFrame>> list_zstd_frames(const Source& packed) {
    const auto size = table_size(packed);
    if (size == 0) {
        return std::nullopt;
    }
    Bytes table(size);
    packed.read(packed.size() - size, table);
    if (le32(table, 0) != kTableMagic || le32(table, 4) != size - kHead) {
        return std::nullopt;
    }
    std::vector<ListedFrame> frames;
    for (auto at = kHead; at < size - kFoot; at += ListedFrame::kStateSize) {
        frames.push_back(frame_at(table, at));
    }
    return fit(frames, packed.size() - size) ? std::optional(std::move(frames)) : std::nullopt;
}

bool is_listed_frame(ConstByteSpan state) {
    return state.size() == ListedFrame::kStateSize;
}

void skip_listed_frames(const Source& packed, const std::vector<ListedFrame>& frames,
                        const PassStart& start, PassSink& sink) {
    SeekPoint point;
    bool reached = false;
    for (const auto& frame : frames) {
        const bool is_start = point.plain == start.point.plain && !start.point.state.empty();
        if (is_start && point.packed_bit != start.point.packed_bit) {
            fail_damaged_index();
        }
        reached = reached || point.plain == start.point.plain;
        if (reached && !is_start) {
            point.state = state_of(frame);
            sink.point(point);
        }
        if (reached) {
            sink.skipped(frame.plain_size);
        }
        point.plain += frame.plain_size;
        point.packed_bit += uint64_t{frame.packed_size} * 8;
    }
    if (!reached) {
        fail_damaged_index();
    }
    sink.progress(packed.size());
}

std::unique_ptr<Decoder> open_listed_frame(const Source& packed, const SeekPoint& point) {
    return std::make_unique<ListedFrameDecoder>(packed, point);
}

}  // namespace imgfs
