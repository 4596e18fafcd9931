#include "fs/image/partition.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>

#include "fs/base/error.h"
#include "fs/base/text.h"
#include "fs/image/partclone_partition.h"
#include "fs/image/raw_partition.h"

namespace imgfs {
namespace {

using namespace std::string_view_literals;

constexpr uint64_t kIdentityStart = kMiB;
constexpr uint64_t kSectorSize = 512;
constexpr uint64_t kHeadSize = 128;

struct Mark {
    uint64_t offset;
    std::string_view bytes;
};

struct Format {
    Mark mark;
    std::unique_ptr<Partition> (*open)(std::unique_ptr<Source> plain,
                                       const PartitionOptions&);  // null: refused
    std::string_view name;
    std::string_view way_out;
};

constexpr auto kUseQemu = "convert it with qemu-img convert -O raw"sv;

/// The first row that fits decides; what fits none is raw.
constexpr std::array kFormats = {
    Format{{0, "partclone-image"sv}, open_partclone, "partclone", ""},
    Format{{30, "0002\xde\xc0"sv}, open_partclone, "partclone", ""},  // its magic is damaged
    Format{{0, "\0ntfsclone-image"sv},
           nullptr,
           "ntfsclone",
           "restore it with ntfsclone --restore-image"},
    Format{{0, "PaRtImAgE-VoLuMe"sv}, nullptr, "partimage", "restore it with partimage"},
    Format{{0, "QFI\xfb"sv}, nullptr, "qcow2", kUseQemu},
    Format{{0, "KDMV"sv}, nullptr, "VMDK", kUseQemu},
    Format{{0, "vhdxfile"sv}, nullptr, "VHDX", kUseQemu},
    Format{{64, "\x7f\x10\xda\xbe"sv}, nullptr, "VDI", kUseQemu},
};

bool fits(const Mark& mark, ConstByteSpan head) {
    return head.size() >= mark.offset + mark.bytes.size() &&
           text_of(head.subspan(mark.offset, mark.bytes.size())) == mark.bytes;
}

/// Enough for every mark. Whether there is that much is asked only where it can't be read: the
/// stream's size may become known late.
Bytes read_head(const Source& plain) {
    Bytes head(std::min(kHeadSize, plain.bound()));
    try {
        plain.read(0, head);
    } catch (const std::system_error& error) {
        if (error.code().value() != EUCLEAN || plain.size() >= head.size()) {
            throw;
        }
        head.resize(plain.size());
        plain.read(0, head);
    }
    return head;
}

}  // namespace

Hash128 Partition::identity() const {
    std::array<std::byte, 16> sizes{};
    store<uint64_t>(sizes, 0, size());
    store<uint64_t>(sizes, 8, bitmap().size());
    Bytes start(std::min(size(), kIdentityStart));
    read(0, start);
    Xxh128 hash;
    hash.update(sizes);
    hash.update(bitmap());
    hash.update(start);
    return hash.digest();
}

std::unique_ptr<Partition> open_partition(std::unique_ptr<Source> plain,
                                          const PartitionOptions& options) {
    const auto bytes = read_head(*plain);
    const ConstByteSpan head(bytes);
    const auto format =
        std::ranges::find_if(kFormats, [&](const Format& row) { return fits(row.mark, head); });
    if (format != kFormats.end() && format->open == nullptr) {
        fail(ENOTSUP, plain->place(0) + ": " + std::string(format->name) +
                          " image is not handled; " + std::string(format->way_out));
    }
    if (format != kFormats.end()) {
        return format->open(std::move(plain), options);
    }
    if (plain->size() == 0 || plain->size() % kSectorSize != 0) {
        fail(EMEDIUMTYPE, plain->place(0) + ": not an image that imgfs knows (" +
                              format_count(plain->size()) +
                              " bytes, and a raw one has whole sectors)");
    }
    return std::make_unique<RawPartition>(std::move(plain));
}

}  // namespace imgfs
