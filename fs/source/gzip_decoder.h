// GzipDecoder: the plain bytes of a gzip stream from a deflate block on.
#pragma once

#include "fs/source/codec.h"
#include "fs/source/inflater.h"
#include "fs/source/packed_reader.h"

namespace imgfs {

constexpr uint64_t kDeflateHistory = 32 * kKiB;

/// What an empty stored block ends with: pigz and rsyncable gzip leave it, and a block starts
/// behind it. The same bytes can stand anywhere else.
constexpr std::string_view kSyncMarker("\0\0\xff\xff", 4);

/// A deflate block inside a member: where it starts and what has come before it.
struct GzipPlace {
    uint64_t plain = 0;
    uint64_t packed_bit = 0;
    uint64_t member_plain = 0;  ///< plain bytes of the member before it
    uint32_t crc = 0;           ///< of these
    bool by_blocks = false;  ///< found by a decoder that stops at blocks, which a pass goes on with
    Bytes history;           ///< up to 32 KiB of them
};

/// A seek point's state: member_plain (8 bytes), crc (4), by_blocks (1), packed history; empty
/// where a member starts.
Bytes gzip_state(const GzipPlace& place);
/// EUCLEAN if the point's state can't be.
GzipPlace gzip_place(const SeekPoint& point);

/// Has the inflater go on at a bit of the packed stream.
void start_inflater(PackedReader& reader, Inflater& inflater, const GzipPlace& place);

class GzipDecoder final : public Decoder {
  public:
    GzipDecoder(const Source& packed, const GzipPlace& place, InflateEngine engine);
    void read(ByteSpan out) override;
    uint64_t memory(uint64_t /*length*/) const override { return 512 * kKiB; }

  private:
    void enter_next_member();

    PackedReader reader_;
    std::unique_ptr<Inflater> inflater_;
};

}  // namespace imgfs
