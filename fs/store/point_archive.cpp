#include "fs/store/point_archive.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include "fs/base/checksum.h"
#include "fs/base/error.h"
#include "fs/store/layer_format.h"

namespace imgfs {
namespace {

constexpr std::string_view kMagic = "imgfspnt";
constexpr uint32_t kVersion = 1;
constexpr size_t kFixedSize = 32;
constexpr uint32_t kMaxText = kMiB;

[[noreturn]] void fail_damaged(const Source& file) {
    fail(EUCLEAN, file.place(0) + ": damaged; export the point again");
}

}  // namespace

Bytes archive_head(const LayerList& list) {
    const auto text = format_layer_list(list);
    Bytes head(round_up(kFixedSize + text.size(), kBlockSize));
    std::ranges::copy(bytes_of(kMagic), head.begin());
    store(head, 8, kVersion);
    store(head, 12, static_cast<uint32_t>(text.size()));
    store(head, 16, xxh3_64(bytes_of(text)));
    store(head, 24, xxh3_64(ConstByteSpan(head).first(24)));
    std::ranges::copy(bytes_of(text), head.begin() + kFixedSize);
    return head;
}

PointArchive read_archive_head(const Source& file) {
    std::array<std::byte, kFixedSize> fixed{};
    if (file.size() >= fixed.size()) {
        file.read(0, fixed);
    }
    if (text_of(ConstByteSpan(fixed).first(kMagic.size())) != kMagic) {
        fail(EMEDIUMTYPE, file.place(0) + ": is no recovery point that imgfs has exported");
    }
    if (le64(fixed, 24) != xxh3_64(ConstByteSpan(fixed).first(24))) {
        fail_damaged(file);
    }
    if (le32(fixed, 8) != kVersion) {
        fail(ENOTSUP, file.place(0) + ": made by a newer imgfs, which can read it");
    }
    Bytes text(std::min(le32(fixed, 12), kMaxText));
    if (file.size() - kFixedSize < text.size()) {
        fail_damaged(file);
    }
    file.read(kFixedSize, text);
    if (xxh3_64(text) != le64(fixed, 16)) {
        fail_damaged(file);
    }
    PointArchive archive{.list = parse_layer_list(text, file.place(kFixedSize)),
                         .layer_start = round_up(kFixedSize + text.size(), kBlockSize)};
    if (archive.list.aside.size() != 1 || !archive.layer().seal ||
        archive.layer().seal->end > file.size() ||
        archive.layer_end() + kArchiveTail != file.size()) {
        fail_damaged(file);
    }
    return archive;
}

}  // namespace imgfs
