#include "fs/source/gzip_index.h"

#include <algorithm>
#include <cerrno>

#include "fs/base/checksum.h"
#include "fs/base/error.h"
#include "fs/source/gzip_header.h"
#include "fs/source/inflater.h"

namespace imgfs {
namespace {

constexpr size_t kReadSize = 512 * kKiB;

/// One indexing pass: where it is in the stream, and what it has found.
class IndexPass {
  public:
    IndexPass(const Source& packed, const Progress& progress)
        : packed_(packed),
          reader_(packed, 0, kReadSize),
          progress_(progress),
          piece_(kHashedPiece) {}

    GzipIndex run() {
        do {
            skip_gzip_header(reader_);
            inflater_.reset();
            offer_point(reader_.offset() * 8, nullptr);
            decode_member();
        } while (another_gzip_member(reader_));
        if (filled_ != 0) {
            index_.hashes.push_back(xxh3_64(ConstByteSpan(piece_).first(filled_)));
        }
        index_.plain_size = plain_;
        return std::move(index_);
    }

  private:
    void decode_member() {
        const auto start = plain_;
        uint32_t crc = 0;
        for (Inflater::Step step; !step.at_end;) {
            const auto packed = reader_.available();
            const auto out = ByteSpan(piece_).subspan(filled_);
            step = inflater_.step(packed, out, Z_BLOCK);
            reader_.take(step.taken);
            if (step.damaged) {
                reader_.fail_damaged(inflater_.message());
            }
            if (packed.empty() && step.made == 0 && !step.at_end) {
                reader_.fail_at_end();
            }
            crc = crc32(out.first(step.made), crc);
            add(step.made);
            if (step.at_block) {
                offer_point(reader_.offset() * 8 - step.unused_bits, &inflater_);
            }
        }
        const auto trailer = read_gzip_trailer(reader_);
        if (trailer.crc != crc || trailer.plain_size != static_cast<uint32_t>(plain_ - start)) {
            reader_.fail_damaged("the checksum of what was decompressed disagrees");
        }
    }

    /// `made` more bytes stand in piece_.
    void add(size_t made) {
        filled_ += made;
        plain_ += made;
        if (filled_ == piece_.size()) {
            index_.hashes.push_back(xxh3_64(piece_));
            filled_ = 0;
            if (progress_) {
                progress_(reader_.offset(), packed_.size());
            }
        }
    }

    /// Takes a seek point here if the last one is far enough. No inflater: at a member's start,
    /// where there is no history.
    void offer_point(uint64_t packed_bit, Inflater* inflater) {
        if (!index_.points.empty() && plain_ - index_.points.back().plain < kSeekSpacing) {
            return;
        }
        index_.points.push_back(
            {plain_, packed_bit,
             inflater == nullptr ? Bytes() : pack_history(inflater->history())});
    }

    const Source& packed_;
    PackedReader reader_;
    const Progress& progress_;
    Inflater inflater_;
    GzipIndex index_;
    Bytes piece_;        // the plain bytes since the last hash
    size_t filled_ = 0;  // of piece_
    uint64_t plain_ = 0;
};

/// Passes over the end of one member and the header of the next.
void enter_next_member(PackedReader& reader) {
    read_gzip_trailer(reader);
    if (!another_gzip_member(reader)) {
        reader.fail_at_end();
    }
    skip_gzip_header(reader);
}

}  // namespace

GzipIndex build_gzip_index(const Source& packed, const Progress& progress) {
    return IndexPass(packed, progress).run();
}

void decode_from(const Source& packed, const SeekPoint& point, uint64_t begin, ByteSpan out) {
    PackedReader reader(packed, point.packed_bit / 8, 256 * kKiB);
    Inflater inflater;
    const auto past = static_cast<unsigned>(point.packed_bit % 8);
    const auto value = past == 0 ? 0U : static_cast<unsigned>(reader.byte()) >> past;
    inflater.resume(unpack_history(point.history), past == 0 ? 0 : 8 - past, value);

    Bytes skipped(begin == point.plain ? 0 : std::min<uint64_t>(begin - point.plain, kMiB));
    auto left_to_skip = begin - point.plain;
    while (!out.empty()) {
        const auto target =
            left_to_skip == 0
                ? out
                : ByteSpan(skipped).first(std::min<uint64_t>(left_to_skip, skipped.size()));
        const auto available = reader.available();
        const auto step = inflater.step(available, target, Z_NO_FLUSH);
        reader.take(step.taken);
        if (step.damaged) {
            reader.fail_damaged(inflater.message());
        }
        if (left_to_skip == 0) {
            out = out.subspan(step.made);
        } else {
            left_to_skip -= step.made;
        }
        if (step.at_end && !out.empty()) {
            enter_next_member(reader);
            inflater.reset();
        } else if (available.empty() && step.made == 0) {
            reader.fail_at_end();
        }
    }
}

}  // namespace imgfs
