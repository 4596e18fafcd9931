#include "fs/source/lz4_frame.h"

#include <lz4.h>

#include <cerrno>

#include "fs/base/error.h"
#include "fs/base/xxh32.h"

namespace imgfs {
namespace {

constexpr uint32_t kFrame = 0x184d2204;
constexpr uint32_t kLegacy = 0x184c2102;
constexpr uint32_t kSkippable = 0x184d2a50;  // to …5f
constexpr uint32_t kStored = 0x80000000;
constexpr size_t kLegacyBlock = 8 * kMiB;
constexpr uint8_t kVersionMask = 0xc0;
constexpr uint8_t kVersion = 0x40;
constexpr uint8_t kReservedFlags = 0x02;
constexpr uint8_t kReservedSizes = 0x8f;

}  // namespace

bool Lz4Frame::is_valid() const {
    return legacy || ((flags & kVersionMask) == kVersion && (flags & kReservedFlags) == 0 &&
                      (size_code & kReservedSizes) == 0 && size_code >= 0x40);
}

size_t Lz4Frame::block_size() const {
    return legacy ? kLegacyBlock : size_t{64 * kKiB} << 2 * ((size_code >> 4) - 4);
}

size_t Lz4Frame::largest_packed_block() const {
    return legacy ? LZ4_COMPRESSBOUND(kLegacyBlock) : block_size();
}

Lz4Reader::Lz4Reader(const Source& packed, uint64_t offset, std::optional<Lz4Frame> frame,
                     size_t read_size)
    : packed_(packed),
      reader_(packed, offset, read_size),
      in_frame_(frame.has_value()),
      had_frame_(offset > 0),
      frame_(frame.value_or(Lz4Frame{})) {}

void Lz4Reader::give_back(Lz4Block block) {
    constexpr uint64_t kSparesMost = 8 * kMiB;
    if (spare_ + block.packed.capacity() <= kSparesMost) {
        spare_ += block.packed.capacity();
        spares_.push_back(std::move(block.packed));
    }
}

Lz4Reader::Event Lz4Reader::next() {
    if (!in_frame_) {
        return begin_frame();
    }
    if (frame_.legacy && reader_.left() == 0) {
        return end_frame();
    }
    const auto size = reader_.le32();
    if (!frame_.legacy && size == 0) {
        return end_frame();
    }
    if (frame_.legacy && (size == 0 || size > frame_.largest_packed_block())) {
        reader_.go_to(reader_.offset() - sizeof size);  // padding, or the next frame
        return end_frame();
    }
    read_block(size);
    return Event::block;
}

Lz4Reader::Event Lz4Reader::end_frame() {
    in_frame_ = false;
    checksum_.reset();
    if (!frame_.legacy && frame_.has_checksum()) {
        checksum_ = reader_.le32();
    }
    return Event::frame_end;
}

void Lz4Reader::read_block(uint32_t size) {
    block_ = {.offset = reader_.offset() - sizeof size,
              .stored = !frame_.legacy && (size & kStored) != 0};
    if (block_.stored) {
        size -= kStored;
    }
    if (size > frame_.largest_packed_block()) {
        fail_damaged(packed_, block_.offset, "a block that is larger than its frame allows");
    }
    Bytes memory;
    if (!spares_.empty()) {
        memory = std::move(spares_.back());
        spares_.pop_back();
        spare_ -= memory.capacity();
    }
    block_.packed = reader_.bytes(size, std::move(memory));
    if (!frame_.legacy && frame_.has_block_checksums()) {
        block_.checksum = reader_.le32();
    }
}

Lz4Reader::Event Lz4Reader::begin_frame() {
    while (reader_.left() >= sizeof kFrame) {
        const auto offset = reader_.offset();
        const auto magic = reader_.le32();
        if (magic == kFrame || magic == kLegacy) {
            frame_ = {.legacy = magic == kLegacy};
            if (!frame_.legacy) {
                read_header();
            }
            in_frame_ = had_frame_ = true;
            return Event::frame;
        }
        if ((magic & ~0xfU) == kSkippable) {
            const uint64_t size = reader_.le32();
            if (size > reader_.left()) {
                reader_.fail_at_end();
            }
            reader_.go_to(reader_.offset() + size);
            had_frame_ = true;
        } else if (magic != 0 || !had_frame_ || reader_.more_behind_zeros()) {
            fail_damaged(packed_, offset, "something that is no lz4 frame");
        }
    }
    check_few_last_bytes();
    return Event::end;
}

/// Fewer bytes are left than any frame has.
void Lz4Reader::check_few_last_bytes() {
    const auto offset = reader_.offset();
    if (!had_frame_) {
        reader_.fail_at_end();
    }
    if (!reader_.more_behind_zeros()) {
        return;
    }
    if (reader_.offset() == offset) {
        const auto first = reader_.byte();
        if (first == (kFrame & 0xff) || first == (kLegacy & 0xff) ||
            (first & 0xf0) == (kSkippable & 0xff)) {
            reader_.fail_at_end();
        }
    }
    fail_damaged(packed_, offset, "something that is no lz4 frame");
}

/// Behind the magic number.
void Lz4Reader::read_header() {
    const auto offset = reader_.offset();
    Bytes header = reader_.bytes(2);
    frame_.flags = std::to_integer<uint8_t>(header[0]);
    frame_.size_code = std::to_integer<uint8_t>(header[1]);
    const auto sizes =
        reader_.bytes((frame_.has_content_size() ? 8 : 0) + (frame_.has_dictionary() ? 4 : 0));
    header.insert(header.end(), sizes.begin(), sizes.end());
    if (reader_.byte() != ((xxh32(header) >> 8) & 0xff)) {
        fail_damaged(packed_, offset, "a frame header that disagrees with its checksum");
    }
    if (!frame_.is_valid()) {
        fail_damaged(packed_, offset, "a frame header that no known lz4 writes");
    }
    if (frame_.has_dictionary()) {
        fail(ENOTSUP, packed_.place(offset) +
                          ": packed with a dictionary, which isn't in the image; unpack it with "
                          "lz4 -dc -D DICTIONARY");
    }
    if (frame_.has_content_size()) {
        frame_.content_size = le64(sizes, 0);
    }
}

}  // namespace imgfs
