// A member is: "LZIP", version 1, dictionary size; LZMA data; and a trailer of CRC-32 (4 bytes),
// plain size (8) and the member's own size (8). What stands behind the last member is no part of
// the stream.
#include "fs/source/lzip.h"

#include <algorithm>
#include <array>
#include <functional>
#include <numeric>

#include "fs/source/lzma_decoder.h"
#include "fs/source/lzma_pass.h"

namespace imgfs {
namespace {

constexpr std::string_view kMagic = "LZIP";
constexpr uint64_t kTrailerSize = 20;
constexpr uint64_t kLeastMember = 36;

class LzipUnits final : public LzmaUnits {
  public:
    LzipUnits(const Source& packed, const LzmaPlace& place) : LzmaUnits(packed, place) {}

    bool next() override {
        const auto start = reader_.offset();
        std::array<std::byte, kMagic.size()> bytes{};
        const auto magic =
            ByteSpan(bytes).first(std::min<uint64_t>(bytes.size(), packed_.size() - start));
        packed_.read(start, magic);
        if (text_of(magic) != kMagic) {
            if (!magic.empty() && kMagic.starts_with(text_of(magic))) {
                reader_.fail_at_end();
            }
            if (!entered_ || resembles(text_of(magic))) {
                reader_.fail_damaged("what stands there is no header of a lzip member");
            }
            return false;
        }
        place_.packed = start;
        entered_ = true;
        enter(lzma_lzip_decoder(&stream_, kLzmaMemory, 0));
        return true;
    }

  private:
    /// Then it is a damaged member rather than something that was appended.
    static bool resembles(std::string_view bytes) {
        const auto alike = std::transform_reduce(bytes.begin(), bytes.end(), kMagic.begin(), 0,
                                                 std::plus(), std::equal_to());
        return alike >= 2;
    }

    bool entered_ = false;
};

std::unique_ptr<LzmaUnits> lzip_units(const Source& packed, const LzmaPlace& place) {
    return std::make_unique<LzipUnits>(packed, place);
}

/// The member that ends at `end`, if one does.
std::optional<LzmaUnit> member_before(const Source& packed, uint64_t end) {
    std::array<std::byte, kTrailerSize> trailer{};
    std::array<std::byte, kMagic.size()> magic{};
    if (end < kLeastMember) {
        return std::nullopt;
    }
    packed.read(end - kTrailerSize, trailer);
    const auto size = le64(trailer, 12);
    if (size < kLeastMember || size > end) {
        return std::nullopt;
    }
    packed.read(end - size, magic);
    if (text_of(magic) != kMagic) {
        return std::nullopt;
    }
    return LzmaUnit{
        .place = {.packed = end - size}, .packed_size = size, .plain_size = le64(trailer, 4)};
}

/// Where the last member ends: at the end, or before zero bytes. Its own last bytes are zero too.
uint64_t end_of_members(const Source& packed) {
    uint64_t zeros_start = packed.size();
    Bytes piece(64 * kKiB);
    while (zeros_start > 0) {
        const auto size = std::min<uint64_t>(piece.size(), zeros_start);
        const auto bytes = ByteSpan(piece).first(size);
        packed.read(zeros_start - size, bytes);
        const auto last = std::ranges::find_if(bytes.rbegin(), bytes.rend(),
                                               [](std::byte b) { return b != std::byte{}; });
        zeros_start -= static_cast<uint64_t>(last - bytes.rbegin());
        if (last != bytes.rend()) {
            break;
        }
    }
    for (uint64_t end = zeros_start; end <= std::min(zeros_start + 8, packed.size()); ++end) {
        if (member_before(packed, end)) {
            return end;
        }
    }
    return 0;
}

/// Nothing checks the sizes in trailers before the members are decoded, and one that is wrong moves
/// all that follows. A writer of many members makes them alike.
bool sizes_are_sure(std::span<const LzmaUnit> members) {
    const auto alike = [&](const LzmaUnit& member) {
        return member.plain_size == members.front().plain_size;
    };
    return members.size() < 2 ||
           (members.size() > 2 && std::ranges::all_of(members.first(members.size() - 1), alike) &&
            members.back().plain_size <= members.front().plain_size);
}

std::optional<LzmaUnitList> list_lzip_members(const Source& packed) {
    LzmaUnitList list{.all_checked = true};
    uint64_t end = end_of_members(packed);
    if (end == 0) {
        return std::nullopt;
    }
    while (end > 0) {
        const auto member = member_before(packed, end);
        // One without plain bytes would never be decoded, and so never be checked.
        if (!member || member->plain_size == 0 || list.units.size() == kMostListedUnits) {
            return std::nullopt;
        }
        end = member->place.packed;
        list.units.push_back(*member);
    }
    std::ranges::reverse(list.units);
    return sizes_are_sure(list.units) ? std::optional(std::move(list)) : std::nullopt;
}

constexpr LzmaFormat kLzip{
    .unit = "lzip member",
    .unpacker = "lzip -dc",
    .units = lzip_units,
    .list = list_lzip_members,
    .without_list =
        "the lzip members can't be counted from the end, which is damaged, missing or "
        "something else: all is decoded",
    .is_checked = [](const LzmaPlace& /*place*/) { return true; }};

}  // namespace

void pass_lzip(const Source& packed, const PassStart& start, const PassOptions& /*options*/,
               PassSink& sink) {
    pass_lzma_units(kLzip, packed, start, sink);
}

std::unique_ptr<Decoder> open_lzip(const Source& packed, const SeekPoint& point) {
    return open_lzma_units(kLzip, packed, point);
}

}  // namespace imgfs
