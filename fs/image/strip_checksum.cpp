#include "fs/image/strip_checksum.h"

#include <algorithm>

namespace imgfs {

uint32_t partclone_crc32(ConstByteSpan bytes) {
    return ~crc32(bytes);
}

void StripChecksum::restart() {
    crc_ = 0;
    xxh64_.reset();
    xxh128_.reset();
}

void StripChecksum::update(ConstByteSpan bytes) {
    switch (mode_) {
        case ChecksumMode::none:
            return;
        case ChecksumMode::crc32:
            crc_ = crc32(bytes, crc_);
            return;
        case ChecksumMode::xxh64:
            return xxh64_.update(bytes);
        case ChecksumMode::xxh128:
            return xxh128_.update(bytes);
    }
}

bool StripChecksum::matches(ConstByteSpan stored) const {
    switch (mode_) {
        case ChecksumMode::none:
            return true;
        case ChecksumMode::crc32:
            return le32(stored, 0) == ~crc_;
        case ChecksumMode::xxh64:
            return le64(stored, 0) == xxh64_.digest();
        case ChecksumMode::xxh128:
            return std::ranges::equal(stored, xxh128_.digest());
    }
    return false;
}

}  // namespace imgfs
