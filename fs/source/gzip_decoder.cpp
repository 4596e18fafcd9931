#include "fs/source/gzip_decoder.h"

#include "fs/source/gzip.h"
#include "fs/source/gzip_header.h"
#include "fs/source/packed_state.h"

namespace imgfs {
namespace {

constexpr size_t kReadSize = 256 * kKiB;
constexpr size_t kStateFields = 13;

}  // namespace

Bytes gzip_state(const GzipPlace& place) {
    if (place.history.empty()) {
        return {};
    }
    Bytes state(kStateFields);
    store(state, 0, place.member_plain);
    store(state, 8, place.crc);
    state[12] = static_cast<std::byte>(place.by_blocks);
    const auto history = pack_state(place.history);
    state.insert(state.end(), history.begin(), history.end());
    return state;
}

GzipPlace gzip_place(const SeekPoint& point) {
    GzipPlace place{.plain = point.plain, .packed_bit = point.packed_bit};
    if (point.state.empty()) {
        return place;
    }
    if (point.state.size() < kStateFields) {
        fail_damaged_index();
    }
    place.member_plain = le64(point.state, 0);
    place.crc = le32(point.state, 8);
    place.by_blocks = point.state[12] != std::byte{};
    place.history = unpack_state(ConstByteSpan(point.state).subspan(kStateFields), kDeflateHistory);
    return place;
}

void start_inflater(PackedReader& reader, Inflater& inflater, const GzipPlace& place) {
    reader.go_to(place.packed_bit / 8);
    const auto past = static_cast<unsigned>(place.packed_bit % 8);
    const auto value = past == 0 ? 0U : static_cast<unsigned>(reader.byte()) >> past;
    inflater.resume(place.history, past == 0 ? 0 : 8 - past, value);
}

GzipDecoder::GzipDecoder(const Source& packed, const GzipPlace& place, InflateEngine engine)
    : reader_(packed, 0, kReadSize), inflater_(make_inflater(engine, Stops::where_full)) {
    start_inflater(reader_, *inflater_, place);
}

void GzipDecoder::read(ByteSpan out) {
    while (!out.empty()) {
        const auto available = reader_.available();
        const auto step = inflater_->step(available, out);
        reader_.take(step.taken);
        if (step.damaged) {
            reader_.fail_damaged(inflater_->message());
        }
        out = out.subspan(step.made);
        if (step.at_end && !out.empty()) {
            reader_.go_to(reader_.offset() - step.unused_bytes);
            enter_next_member();
        } else if (available.empty() && step.made == 0) {
            reader_.fail_at_end();
        }
    }
}

/// Passes over the end of one member and the header of the next.
void GzipDecoder::enter_next_member() {
    read_gzip_trailer(reader_);
    if (!another_gzip_member(reader_)) {
        reader_.fail_at_end();
    }
    skip_gzip_header(reader_);
    inflater_->reset();
}

std::unique_ptr<Decoder> open_gzip(const Source& packed, const SeekPoint& point) {
    return std::make_unique<GzipDecoder>(packed, gzip_place(point), InflateEngine::fastest);
}

}  // namespace imgfs
