#include "fs/image/raw_partition.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "fs/image/sequential_reader.h"

namespace imgfs {
namespace {

using namespace std::string_view_literals;

constexpr std::array kMarks = {std::pair(510, "\x55\xaa"sv),   // boot sectors: MBR, GPT, FAT, NTFS
                               std::pair(1080, "\x53\xef"sv),  // ext
                               std::pair(0, "XFSB"sv),
                               std::pair(65600, "_BHRfS_M"sv),         // btrfs
                               std::pair(1024, "\x10\x20\xf5\xf2"sv),  // f2fs
                               std::pair(65588, "ReIsEr"sv),
                               std::pair(32768, "JFS1"sv),
                               std::pair(1024, "H+"sv),
                               std::pair(4086, "SWAPSPACE2"sv),
                               std::pair(512, "LABELONE"sv),  // LVM
                               std::pair(0, "LUKS\xba\xbe"sv)};

}  // namespace

bool says_what_it_is(const Source& partition) {
    return std::ranges::any_of(kMarks, [&](const auto& mark) {
        const auto [offset, bytes] = mark;
        Bytes found(bytes.size());
        if (partition.size() < static_cast<uint64_t>(offset) + found.size()) {
            return false;
        }
        partition.read(static_cast<uint64_t>(offset), found);
        return text_of(found) == bytes;
    });
}

RawPartition::RawPartition(std::unique_ptr<Source> plain)
    : Partition({.format = "raw", .device_size = plain->size(), .checksum = "none"}),
      plain_(std::move(plain)) {}

uint64_t RawPartition::verify(const DamageReport& report, const Progress& progress) const {
    SequentialReader reader(*plain_, 0, size());
    std::string reported;
    while (reader.offset() < size()) {
        const uint64_t start = reader.offset();
        const auto piece = reader.next(size());
        if (piece.bytes.empty() && reader.damage() != reported) {
            reported = reader.damage();
            report(plain_->place(start) + ": can't be read: " + reported);
        }
        if (reader.hopeless()) {
            report(plain_->place(reader.offset() - 1) +
                   ": nothing readable for a long stretch; the rest was not checked");
            break;
        }
        if (progress) {
            progress(reader.offset(), size());
        }
    }
    return 0;
}

}  // namespace imgfs
