#include "fs/image/strip_checksum.h"

#include <algorithm>
#include <array>

#include "fs/source/inflater.h"

namespace imgfs {

uint32_t partclone_crc32(ConstByteSpan bytes) {
    return ~crc32(bytes);
}

uint32_t crc32_of_repeated(std::byte byte, uint64_t count, uint32_t previous) {
    std::array<std::byte, 4096> same{};
    same.fill(byte);
    for (; count > same.size(); count -= same.size()) {
        previous = crc32(same, previous);
    }
    return crc32(ConstByteSpan(same).first(count), previous);
}

void StripChecksum::restart() {
    crc_ = 0;
    in_block_ = 0;
    xxh64_.reset();
    xxh128_.reset();
}

void StripChecksum::update(ConstByteSpan bytes) {
    switch (mode_) {
        case ChecksumMode::none:
            return;
        case ChecksumMode::crc32:
            crc_ = gzip_crc(bytes, crc_);  // crc32() in the quickest way
            return;
        case ChecksumMode::xxh64:
            return xxh64_.update(bytes);
        case ChecksumMode::xxh128:
            return xxh128_.update(bytes);
        case ChecksumMode::crc32_of_first_bytes:
            return update_first_bytes(bytes);
    }
}

void StripChecksum::update_first_bytes(ConstByteSpan bytes) {
    while (!bytes.empty()) {
        if (in_block_ == 0) {
            crc_ = crc32_of_repeated(bytes[0], block_size_, crc_);
        }
        const auto piece = std::min<uint64_t>(bytes.size(), block_size_ - in_block_);
        in_block_ = (in_block_ + piece) % block_size_;
        bytes = bytes.subspan(piece);
    }
}

Bytes StripChecksum::value() const {
    Bytes bytes;
    switch (mode_) {
        case ChecksumMode::none:
            break;
        case ChecksumMode::crc32:
        case ChecksumMode::crc32_of_first_bytes:
            bytes.resize(sizeof crc_);
            store(bytes, 0, ~crc_);
            break;
        case ChecksumMode::xxh64:
            bytes.resize(sizeof(uint64_t));
            store(bytes, 0, xxh64_.digest());
            break;
        case ChecksumMode::xxh128: {
            const auto digest = xxh128_.digest();
            bytes.assign(digest.begin(), digest.end());
            break;
        }
    }
    return bytes;
}

bool StripChecksum::matches(ConstByteSpan stored) const {
    const auto expected = value();
    return std::ranges::equal(stored.first(expected.size()), expected);
}

}  // namespace imgfs
