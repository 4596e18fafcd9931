// A stream is: header of 12 bytes, blocks, index, footer of 12 bytes. A block starts with the size
// of its header, which isn't 0, and an index with 0. The header says which kind of check the blocks
// have. All stands at multiples of 4 bytes from the stream's start.
#include "fs/source/xz.h"

#include <algorithm>
#include <array>

#include "fs/source/lzma_decoder.h"
#include "fs/source/lzma_pass.h"
#include "fs/source/xz_index.h"

namespace imgfs {
namespace {

/// An index of that size lists some ten million blocks.
constexpr uint64_t kLargestIndex = 128 * kMiB;

const uint8_t* raw(ConstByteSpan bytes) {
    return reinterpret_cast<const uint8_t*>(bytes.data());
}

class XzUnits final : public LzmaUnits {
  public:
    XzUnits(const Source& packed, const LzmaPlace& place)
        : LzmaUnits(packed, place), in_stream_(place.kind != kLzmaStreamStart) {
        if (in_stream_ && place.kind > LZMA_CHECK_ID_MAX) {
            reader_.fail_damaged("there is no such check of xz blocks");
        }
    }

    bool next() override {
        for (;;) {
            if (!in_stream_ && !enter_stream()) {
                return false;
            }
            const auto bytes = reader_.available();
            if (bytes.empty()) {
                reader_.fail_at_end();
            }
            if (bytes[0] != std::byte{}) {
                enter_block();
                return true;
            }
            leave_stream();
        }
    }

  private:
    bool enter_stream() {
        if (!reader_.more_behind_zeros()) {
            return false;
        }
        const auto start = reader_.offset();
        std::array<std::byte, LZMA_STREAM_HEADER_SIZE> header{};
        reader_.read(header);
        lzma_stream_flags flags{};
        if (lzma_stream_header_decode(&flags, raw(header)) != LZMA_OK) {
            reader_.go_to(start);
            reader_.fail_damaged("what stands there is no header of an xz stream");
        }
        place_.kind = static_cast<uint8_t>(flags.check);
        in_stream_ = true;
        return true;
    }

    void enter_block() {
        place_.packed = reader_.offset();
        std::array<std::byte, LZMA_BLOCK_HEADER_SIZE_MAX> header{};
        const auto first = std::to_integer<uint32_t>(reader_.available()[0]);
        block_ = {};
        block_.version = 1;
        block_.header_size = lzma_block_header_size_decode(first);
        block_.check = static_cast<lzma_check>(place_.kind);
        std::array<lzma_filter, LZMA_FILTERS_MAX + 1> filters{};
        block_.filters = filters.data();
        reader_.read(ByteSpan(header).first(block_.header_size));
        if (lzma_block_header_decode(&block_, nullptr, raw(header)) != LZMA_OK) {
            reader_.go_to(place_.packed);
            reader_.fail_damaged("what stands there is no header of an xz block");
        }
        const auto memory = lzma_raw_decoder_memusage(filters.data());
        block_memory_ = memory;
        const auto result =
            memory > kLzmaMemory ? LZMA_MEMLIMIT_ERROR : lzma_block_decoder(&stream_, &block_);
        lzma_filters_free(filters.data(), nullptr);
        block_.filters = nullptr;
        if (memory > kLzmaMemory) {
            fail_memory(memory);
        }
        enter(result);
    }

    /// The index is of no use here, and may be damaged though the blocks are not: it ends where a
    /// footer says that it started here.
    void leave_stream() {
        const auto start = reader_.offset();
        std::array<std::byte, LZMA_STREAM_HEADER_SIZE> last{};
        reader_.read(last);
        for (uint64_t size = 0; size < kLargestIndex; size += 4) {
            lzma_stream_flags flags{};
            if (text_of(last).ends_with("YZ") &&
                lzma_stream_footer_decode(&flags, raw(last)) == LZMA_OK &&
                flags.backward_size == size) {
                in_stream_ = false;
                return;
            }
            std::copy(last.begin() + 4, last.end(), last.begin());
            reader_.read(ByteSpan(last).last(4));
        }
        reader_.go_to(start);
        reader_.fail_damaged("the index of the xz stream has no end");
    }

    bool in_stream_;
    lzma_block block_{};
};

std::unique_ptr<LzmaUnits> xz_units(const Source& packed, const LzmaPlace& place) {
    return std::make_unique<XzUnits>(packed, place);
}

constexpr LzmaFormat kXz{
    .unit = "xz block",
    .unpacker = "xz -dc",
    .units = xz_units,
    .list = list_xz_blocks,
    .without_list = "the index at the end of the xz stream is damaged or missing: all is decoded",
    .is_checked = [](const LzmaPlace& place) {
        return is_proof(static_cast<lzma_check>(place.kind));
    }};

}  // namespace

void pass_xz(const Source& packed, const PassStart& start, const PassOptions& /*options*/,
             PassSink& sink) {
    pass_lzma_units(kXz, packed, start, sink);
}

std::unique_ptr<Decoder> open_xz(const Source& packed, const SeekPoint& point) {
    return open_lzma_units(kXz, packed, point);
}

}  // namespace imgfs
