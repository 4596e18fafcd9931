// A header of 13 bytes: properties, dictionary size (4 bytes), plain size (8), which may be unknown
// (all bits set); then LZMA data.
#include "fs/source/lzma.h"

#include <array>
#include <utility>

#include "fs/source/lzma_decoder.h"
#include "fs/source/lzma_pass.h"

namespace imgfs {
namespace {

constexpr size_t kHeaderSize = 13;

class WholeStream final : public LzmaUnits {
  public:
    WholeStream(const Source& packed, const LzmaPlace& place) : LzmaUnits(packed, place) {
        if (place.packed != 0) {
            reader_.fail_damaged("no lzma stream starts there, though the index says so");
        }
    }

    bool next() override {
        if (std::exchange(entered_, true)) {
            if (reader_.more_behind_zeros()) {
                reader_.fail_damaged("something stands behind the end of the lzma stream");
            }
            return false;
        }
        enter(lzma_alone_decoder(&stream_, kLzmaMemory));
        return true;
    }

  private:
    bool entered_ = false;
};

std::unique_ptr<LzmaUnits> whole_stream(const Source& packed, const LzmaPlace& place) {
    return std::make_unique<WholeStream>(packed, place);
}

/// If the header says how large it is.
std::optional<LzmaUnitList> list_whole_stream(const Source& packed) {
    std::array<std::byte, kHeaderSize> header{};
    if (packed.size() < header.size()) {
        return std::nullopt;
    }
    packed.read(0, header);
    const auto size = le64(header, 5);
    if (size == UINT64_MAX || size == 0) {
        return std::nullopt;
    }
    return LzmaUnitList{.units = {{.place = {}, .packed_size = packed.size(), .plain_size = size}}};
}

constexpr LzmaFormat kLzma{.unit = "lzma stream",
                           .unpacker = "xz --format=lzma -dc",
                           .units = whole_stream,
                           .list = list_whole_stream,
                           .without_list = "",
                           .is_checked = [](const LzmaPlace& /*place*/) { return false; }};

}  // namespace

void pass_lzma(const Source& packed, const PassStart& start, const PassOptions& /*options*/,
               PassSink& sink) {
    pass_lzma_units(kLzma, packed, start, sink);
}

std::unique_ptr<Decoder> open_lzma(const Source& packed, const SeekPoint& point) {
    return open_lzma_units(kLzma, packed, point);
}

}  // namespace imgfs
