#include "fs/source/lzop_file.h"

#include <lzo/lzo1x.h>

#include <cerrno>

#include "fs/base/checksum.h"
#include "fs/base/error.h"

namespace imgfs {
namespace {

constexpr std::string_view kMagic("\x89LZO\0\r\n\x1a\n", 9);
constexpr uint32_t kLargestBlock = 64 * kMiB;  // lzop's own bound
constexpr uint32_t kLargestExtraField = kMiB;
constexpr uint16_t kOldest = 0x0900;
constexpr uint16_t kLongHeader = 0x0940;  // this version and later
constexpr uint16_t kNewest = 0x1fff;
constexpr uint8_t kLastMethod = 3;  // 1 to 3 are all decoded as LZO1X

/// A header's bytes as they are read, for its checksum.
class HeaderReader {
  public:
    explicit HeaderReader(PackedReader& reader) : reader_(reader) {}

    uint32_t number(unsigned bytes) {
        uint32_t value = 0;
        for (; bytes > 0; --bytes) {
            value = value << 8 | reader_.byte();
            bytes_.push_back(static_cast<std::byte>(value));
        }
        return value;
    }
    void skip(size_t count) {
        const auto skipped = reader_.bytes(count);
        bytes_.insert(bytes_.end(), skipped.begin(), skipped.end());
    }
    bool agrees_with_checksum(LzopFlags flags) {
        const auto should = flags.header_crc() ? crc32(bytes_) : adler32(bytes_);
        return reader_.be32() == should;
    }

  private:
    PackedReader& reader_;
    Bytes bytes_;
};

bool agrees(std::optional<uint32_t> should, uint32_t (*checksum)(ConstByteSpan),
            ConstByteSpan bytes) {
    return !should || *should == checksum(bytes);
}

uint32_t crc32_of(ConstByteSpan bytes) {
    return crc32(bytes);
}

}  // namespace

bool decode_lzop(const LzopBlock& block, ConstByteSpan data, ByteSpan out) {
    if (!agrees(block.packed_adler, adler32, data) || !agrees(block.packed_crc, crc32_of, data)) {
        return false;
    }
    if (block.packed_size == block.plain_size) {
        std::ranges::copy(data, out.begin());
    } else {
        lzo_uint made = out.size();
        const auto result = ::lzo1x_decompress_safe(
            reinterpret_cast<const unsigned char*>(data.data()), data.size(),
            reinterpret_cast<unsigned char*>(out.data()), &made, nullptr);
        if (result != LZO_E_OK || made != out.size()) {
            return false;
        }
    }
    return agrees(block.plain_adler, adler32, out) && agrees(block.plain_crc, crc32_of, out);
}

void fail_lzop_block(const Source& packed, const LzopBlock& block) {
    fail_damaged(packed, block.offset,
                 "a block that can't be decoded or disagrees with its checksum");
}

LzopReader::LzopReader(const Source& packed, uint64_t offset, std::optional<LzopFlags> flags,
                       size_t read_size)
    : packed_(packed),
      reader_(packed, offset, read_size),
      in_file_(flags.has_value()),
      had_file_(offset > 0),
      flags_(flags.value_or(LzopFlags{})),
      next_(offset) {}

LzopReader::Event LzopReader::next() {
    reader_.go_to(next_);
    Event event = Event::block;
    if (!in_file_) {
        event = begin_file();
    } else if (const auto plain_size = reader_.be32(); plain_size != 0) {
        read_block(plain_size);
        next_ = block_.end();
        return event;
    } else {
        in_file_ = false;
        event = Event::file_end;
    }
    next_ = reader_.offset();
    return event;
}

Bytes LzopReader::data() {
    reader_.go_to(block_.data);
    return reader_.bytes(block_.packed_size);
}

void LzopReader::read_block(uint32_t plain_size) {
    block_ = {.offset = reader_.offset() - sizeof plain_size, .plain_size = plain_size};
    block_.packed_size = reader_.be32();
    if (plain_size > kLargestBlock || block_.packed_size > plain_size || block_.packed_size == 0) {
        fail_damaged(packed_, block_.offset, "a block of a size that no lzop makes");
    }
    const auto read_if = [&](bool there) {
        return there ? std::optional(reader_.be32()) : std::nullopt;
    };
    const bool is_packed = block_.packed_size < plain_size;
    block_.plain_adler = read_if(flags_.plain_adler());
    block_.plain_crc = read_if(flags_.plain_crc());
    block_.packed_adler = read_if(flags_.packed_adler() && is_packed);
    block_.packed_crc = read_if(flags_.packed_crc() && is_packed);
    block_.data = reader_.offset();
    if (block_.packed_size > reader_.left()) {
        reader_.fail_at_end();
    }
}

LzopReader::Event LzopReader::begin_file() {
    const auto offset = reader_.offset();
    Bytes start(std::min<uint64_t>(reader_.left(), kMagic.size()));
    reader_.read(start);
    if (text_of(start) == kMagic) {
        read_header();
        in_file_ = had_file_ = true;
        return Event::file;
    }
    if (had_file_) {
        reader_.go_to(offset);
        if (!reader_.more_behind_zeros()) {
            return Event::end;
        }
    }
    if (kMagic.starts_with(text_of(start))) {
        reader_.fail_at_end();
    }
    fail_damaged(packed_, offset, "something that is no lzop file");
}

/// Behind the magic bytes.
void LzopReader::read_header() {
    const auto offset = reader_.offset();
    HeaderReader header(reader_);
    const auto version = header.number(2);
    const bool is_long = version >= kLongHeader;
    header.skip(is_long ? 4 : 2);
    const auto method = header.number(1);
    header.skip(is_long ? 1 : 0);
    flags_ = {header.number(4)};
    header.skip(flags_.filter() ? 4 : 0);
    header.skip(is_long ? 12 : 8);
    header.skip(header.number(1));
    if (!header.agrees_with_checksum(flags_)) {
        fail_damaged(packed_, offset, "a header that disagrees with its checksum");
    }
    if (version < kOldest || version > kNewest || method == 0 || method > kLastMethod) {
        fail_damaged(packed_, offset, "a header that no known lzop writes");
    }
    if (flags_.filter()) {
        fail(ENOTSUP, packed_.place(offset) +
                          ": packed with a filter, which this version doesn't read; convert it: "
                          "cat PARTS | lzop -dc | pigz >NEW.gz");
    }
    if (flags_.extra_field()) {
        read_extra_field();
    }
}

void LzopReader::read_extra_field() {
    const auto offset = reader_.offset();
    HeaderReader extra(reader_);
    const auto length = extra.number(4);
    if (length > kLargestExtraField) {
        fail_damaged(packed_, offset, "an extra field that no lzop writes");
    }
    extra.skip(length);
    if (!extra.agrees_with_checksum(flags_)) {
        fail_damaged(packed_, offset, "an extra field that disagrees with its checksum");
    }
}

}  // namespace imgfs
