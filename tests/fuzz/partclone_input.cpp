#include "tests/fuzz/partclone_input.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "fs/base/error.h"
#include "fs/image/partclone_header.h"
#include "fs/image/partition.h"
#include "tests/support/image_builder.h"
#include "tests/support/memory_source.h"

namespace imgfs {
namespace {

constexpr uint64_t kWindow = 256 * kKiB;  // looked at, at either end of the partition
constexpr size_t kHeaderOf0002 = 110;

/// Under right checksums of header and bitmap, as one who forges an image would leave it.
Bytes sealed(Bytes image) {
    if (image.size() < kHeaderOf0002) {
        return image;
    }
    const bool is_0002 = text_of(ConstByteSpan(image).subspan(30, 4)) == "0002";
    if (is_0002) {
        seal_partclone_header(image);
    }
    try {
        const auto header = read_partclone_header(MemorySource(image));
        const auto size = header.bitmap_size();
        const auto behind = header.size + size;
        if (size == 0 || size > image.size() || behind + kBitmapMark.size() > image.size()) {
            return image;
        }
        if (is_0002) {
            store(image, behind, partclone_crc32(ConstByteSpan(image).subspan(header.size, size)));
        } else {
            std::ranges::copy(bytes_of(kBitmapMark), ByteSpan(image).subspan(behind).begin());
        }
    } catch (const std::system_error&) {
        // A field of the header lies: it will be refused.
    }
    return image;
}

/// Nothing if the action says that the image is damaged, or not for imgfs.
template <typename Action>
auto result_of(Action action) -> std::optional<decltype(action())> {
    try {
        return action();
    } catch (const std::system_error& error) {
        const int code = errno_of(error);
        EXPECT_TRUE(code == EUCLEAN || code == ENOTSUP || code == EMEDIUMTYPE)
            << code << ": " << message_of(error);
        EXPECT_NE(message_of(error).find("memory: byte "), std::string::npos) << message_of(error);
        return std::nullopt;
    }
}

Bytes whole(const Partition& partition, uint64_t offset, uint64_t length) {
    Bytes out(length);
    partition.read(offset, out);
    return out;
}

Bytes in_pieces(const Partition& partition, uint64_t offset, uint64_t length) {
    Bytes out(length);
    for (size_t at = 0, step = 1; at < length; at += step, step = step * 3 % 10'007 + 1) {
        step = std::min(step, length - at);
        partition.read(offset + at, ByteSpan(out).subspan(at, step));
    }
    return out;
}

/// What version 0002 says of the partition's bytes, read one block after the other.
class Model {
  public:
    Model(ConstByteSpan image, const ImageInfo& info) : image_(image), info_(info) {
        const auto mode = std::to_integer<unsigned>(image[105]);
        const auto bitmap = image.subspan(kHeaderOf0002);
        for (uint64_t block = 0; block < info.total_blocks; ++block) {
            used_.push_back(
                mode == 0 ||
                (mode == 1 ? (std::to_integer<unsigned>(bitmap[block / 8]) >> block % 8 & 1U) != 0
                           : bitmap[block] == std::byte{1}));
        }
        const auto size = mode == 0 ? 0 : mode == 1 ? (used_.size() + 7) / 8 : used_.size();
        const bool marked = mode == 8 && text_of(bitmap.subspan(size)).starts_with(kBitmapMark);
        data_ = kHeaderOf0002 + size + (mode == 0 ? 0 : marked ? 8 : 4);
    }

    Bytes plain(uint64_t begin, uint64_t length) const {
        Bytes out(length);
        const uint64_t strip = le16(image_, 96) == 0 ? UINT64_MAX : le32(image_, 100);
        uint64_t rank = 0;
        for (uint64_t block = 0; block < used_.size(); ++block) {
            if (!used_[block]) {
                continue;
            }
            const auto from = data_ + rank * info_.block_size + rank / strip * le16(image_, 98);
            const auto to = block * info_.block_size;
            const auto first = std::max(to, begin);
            const auto last = std::min(to + info_.block_size, begin + length);
            if (first < last) {
                std::ranges::copy(image_.subspan(from + first - to, last - first),
                                  ByteSpan(out).subspan(first - begin).begin());
            }
            ++rank;
        }
        return out;
    }

  private:
    ConstByteSpan image_;
    ImageInfo info_;
    std::vector<bool> used_;
    uint64_t data_ = 0;
};

void expect_window(const Partition& checked, const Partition& settled, uint64_t offset,
                   bool is_sound) {
    const auto length = std::min(kWindow, settled.size() - offset);
    const auto expected = result_of([&] { return whole(settled, offset, length); });
    ASSERT_TRUE(expected) << "nothing is checked there";
    EXPECT_TRUE(in_pieces(settled, offset, length) == *expected);
    const auto found = result_of([&] { return whole(checked, offset, length); });
    const auto pieces = result_of([&] { return in_pieces(checked, offset, length); });
    EXPECT_EQ(found.has_value(), pieces.has_value());
    EXPECT_TRUE(!is_sound || found);
    EXPECT_TRUE(!found || *found == *expected);
    EXPECT_TRUE(!pieces || *pieces == *expected);
}

std::unique_ptr<Partition> opened(const Bytes& image, Vouched vouched) {
    auto partition = result_of([&] {
        return open_partition(std::make_unique<MemorySource>(image),
                              {.vouching = [vouched](uint64_t, uint64_t) { return vouched; }});
    });
    return partition ? std::move(*partition) : nullptr;
}

void expect_image_contract(const Bytes& image) {
    const auto checked = opened(image, Vouched::no);
    const auto settled = opened(image, Vouched::yes);
    ASSERT_EQ(checked == nullptr, settled == nullptr);
    if (checked == nullptr) {
        return;
    }
    uint64_t damage = 0;
    const auto report = [&](const std::string& line) {
        ++damage;
        EXPECT_NE(line.find("memory: byte "), std::string::npos) << line;
    };
    result_of([&] { return checked->verify(report, {}); });
    result_of([&] { return checked->identity(); });
    const auto last = settled->size() - std::min(kWindow, settled->size());
    for (const auto offset : {uint64_t{0}, last}) {
        expect_window(*checked, *settled, offset, damage == 0);
        if (settled->info().format == "partclone 0002") {
            const auto length = std::min(kWindow, settled->size());
            EXPECT_TRUE(whole(*settled, offset, length) ==
                        Model(image, settled->info()).plain(offset, length));
        }
    }
}

}  // namespace

void run_partclone(std::string_view /*target*/, ConstByteSpan image) {
    const Bytes as_it_is(image.begin(), image.end());
    expect_image_contract(as_it_is);
    expect_image_contract(sealed(as_it_is));
}

std::vector<Bytes> partclone_seeds(std::string_view /*target*/) {
    std::vector<Bytes> seeds;
    for (const auto checksum : std::initializer_list<uint16_t>{0x00, 0x20, 0x30, 0x31}) {
        for (const auto bitmap : std::initializer_list<uint8_t>{0, 1, 8}) {
            const auto used =
                bitmap == 0 ? std::vector<bool>(20, true) : used_blocks(200, 15, checksum + bitmap);
            seeds.push_back(
                build_partclone({.block_size = 64,
                                 .used = used,
                                 .tail = 30,
                                 .checksum_mode = checksum,
                                 .restart = (checksum + bitmap) % 2 == 0,
                                 .bitmap_mode = bitmap,
                                 .map_end = checksum == 0x20 ? MapEnd::crc : MapEnd::mark})
                    .stream);
        }
    }
    for (const size_t slot : {4, 8}) {
        seeds.push_back(
            build_partclone_0001({.block_size = 32, .used = used_blocks(50, 50, 1)}, slot).stream);
    }
    return seeds;
}

}  // namespace imgfs
