#include "fs/base/checksum.h"
#include "fs/source/inflater.h"

#ifdef IMGFS_ISAL

#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>

#include <algorithm>

namespace imgfs {
namespace {

constexpr size_t kMostPerStep = 1 << 30;  // ISA-L counts in 32 bits

uint8_t* isal_bytes(const std::byte* bytes) {
    // ISA-L's input pointers are not const, though it doesn't write there.
    return reinterpret_cast<uint8_t*>(const_cast<std::byte*>(bytes));
}

class IsalInflater final : public Inflater {
  public:
    IsalInflater() { resume({}, 0, 0); }

    Step step(ConstByteSpan packed, ByteSpan plain) override {
        const auto in = static_cast<uint32_t>(std::min(packed.size(), kMostPerStep));
        const auto out = static_cast<uint32_t>(std::min(plain.size(), kMostPerStep));
        state_.next_in = isal_bytes(packed.data());
        state_.avail_in = in;
        state_.next_out = isal_bytes(plain.data());
        state_.avail_out = out;
        if (::isal_inflate(&state_) < 0) {
            // What it says of its input then can be more than it was given.
            return {.damaged = true};
        }
        const bool at_end = state_.block_state == ISAL_BLOCK_FINISH;
        return {.taken = in - state_.avail_in,
                .made = out - state_.avail_out,
                .at_block = at_block(),
                .at_end = at_end,
                .unused_bytes = at_end ? static_cast<unsigned>(state_.read_in_length) / 8 : 0};
    }

    void resume(ConstByteSpan history, unsigned bits, unsigned value) override {
        ::isal_inflate_init(&state_);
        state_.crc_flag = ISAL_DEFLATE;
        if (!history.empty()) {
            ::isal_inflate_set_dict(&state_, isal_bytes(history.data()),
                                    static_cast<uint32_t>(history.size()));
        }
        state_.read_in = value;
        state_.read_in_length = static_cast<int32_t>(bits);
    }

    const char* message() const override { return "bad data"; }
    bool stops_at_blocks() const override { return false; }

  private:
    /// Everything that was taken is decoded and given out, and a block header comes next.
    bool at_block() const {
        // A step without input leaves it at a header of which it has read nothing.
        const bool at_header =
            state_.block_state == ISAL_BLOCK_NEW_HDR || state_.block_state == ISAL_BLOCK_HDR;
        return at_header && state_.avail_in == 0 && state_.read_in_length == 0 &&
               state_.tmp_in_size == 0 && state_.tmp_out_processed == state_.tmp_out_valid &&
               state_.copy_overflow_length == 0 && state_.write_overflow_len == 0;
    }

    inflate_state state_{};
};

}  // namespace

std::unique_ptr<Inflater> make_isal_inflater() {
    return std::make_unique<IsalInflater>();
}

uint32_t gzip_crc(ConstByteSpan bytes, uint32_t previous) {
    return ::crc32_gzip_refl(previous, isal_bytes(bytes.data()), bytes.size());
}

}  // namespace imgfs

#else

namespace imgfs {

std::unique_ptr<Inflater> make_isal_inflater() {
    return nullptr;
}

uint32_t gzip_crc(ConstByteSpan bytes, uint32_t previous) {
    return crc32(bytes, previous);
}

}  // namespace imgfs

#endif
