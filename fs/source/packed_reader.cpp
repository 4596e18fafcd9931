#include "fs/source/packed_reader.h"

#include <algorithm>
#include <cerrno>

#include "fs/base/error.h"

namespace imgfs {

PackedReader::PackedReader(const Source& packed, uint64_t offset, size_t piece_size)
    : packed_(packed), piece_size_(piece_size), offset_(offset) {}

ConstByteSpan PackedReader::available() {
    if (start_ == piece_.size()) {
        offset_ += piece_.size();
        start_ = 0;
        piece_.resize(std::min<uint64_t>(piece_size_, packed_.size() - offset_));
        packed_.read(offset_, piece_);
    }
    return ConstByteSpan(piece_).subspan(start_);
}

void PackedReader::go_to(uint64_t offset) {
    if (offset >= offset_ && offset - offset_ <= piece_.size()) {
        start_ = static_cast<size_t>(offset - offset_);
        return;
    }
    offset_ = offset;
    piece_.clear();
    start_ = 0;
}

uint8_t PackedReader::byte() {
    const auto bytes = available();
    if (bytes.empty()) {
        fail_at_end();
    }
    take(1);
    return std::to_integer<uint8_t>(bytes[0]);
}

void PackedReader::fail_at_end() const {
    fail(EUCLEAN, packed_.place(packed_.size()) +
                      ": the stream ends too early; a part is missing or cut short");
}

void PackedReader::fail_damaged(const std::string& what) const {
    fail(EUCLEAN, packed_.place(offset()) + ": " + what + "; the stream is damaged there");
}

}  // namespace imgfs
