#include <zlib.h>

#include <algorithm>
#include <new>

#include "fs/source/inflater.h"

namespace imgfs {
namespace {

constexpr int kRawDeflate = -15;
constexpr size_t kMostPerStep = 1 << 30;  // zlib counts in 32 bits

Bytef* zlib_bytes(const std::byte* bytes) {
    // zlib's input pointers are not const, though it doesn't write there.
    return reinterpret_cast<Bytef*>(const_cast<std::byte*>(bytes));
}

class ZlibInflater final : public Inflater {
  public:
    explicit ZlibInflater(Stops stops) : stops_(stops) {
        if (::inflateInit2(&stream_, kRawDeflate) != Z_OK) {
            throw std::bad_alloc();
        }
    }

    ~ZlibInflater() override { ::inflateEnd(&stream_); }

    Step step(ConstByteSpan packed, ByteSpan plain) override {
        const auto in = static_cast<uInt>(std::min(packed.size(), kMostPerStep));
        const auto out = static_cast<uInt>(std::min(plain.size(), kMostPerStep));
        stream_.next_in = zlib_bytes(packed.data());
        stream_.avail_in = in;
        stream_.next_out = zlib_bytes(plain.data());
        stream_.avail_out = out;
        const int result = ::inflate(&stream_, stops_at_blocks() ? Z_BLOCK : Z_NO_FLUSH);
        if (result == Z_MEM_ERROR) {
            throw std::bad_alloc();
        }
        const auto state = static_cast<unsigned>(stream_.data_type);
        return {.taken = in - stream_.avail_in,
                .made = out - stream_.avail_out,
                // Bit 7: stopped after a block; bit 6: that was the last one.
                .at_block = stops_at_blocks() && (state & 128) != 0 && (state & 64) == 0,
                .at_end = result == Z_STREAM_END,
                .damaged = result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR,
                .unused_bits = state & 7};
    }

    void resume(ConstByteSpan history, unsigned bits, unsigned value) override {
        ::inflateReset2(&stream_, kRawDeflate);
        if (bits != 0) {
            ::inflatePrime(&stream_, static_cast<int>(bits), static_cast<int>(value));
        }
        if (!history.empty()) {
            ::inflateSetDictionary(&stream_, zlib_bytes(history.data()),
                                   static_cast<uInt>(history.size()));
        }
    }

    const char* message() const override {
        return stream_.msg == nullptr ? "bad data" : stream_.msg;
    }

    bool stops_at_blocks() const override { return stops_ == Stops::at_blocks; }

  private:
    const Stops stops_;
    z_stream stream_{};
};

}  // namespace

std::unique_ptr<Inflater> make_zlib_inflater(Stops stops) {
    return std::make_unique<ZlibInflater>(stops);
}

}  // namespace imgfs
