#include "fs/source/zstd_state.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <utility>

#include "fs/source/packed_state.h"
#include "fs/source/zstd_frame.h"

namespace imgfs {
namespace {

constexpr int kStateLevel = 6;
constexpr uint64_t kRecordMost = 96 * kMiB;
constexpr size_t kHeadMost = 4096;  // of a record, what stands before the history
constexpr uint8_t kHasChecksum = 1;
constexpr uint8_t kHasContentSize = 2;
constexpr uint8_t kInJobs = 4;

class RecordWriter {
  public:
    template <typename Value>
    void put(Value value) {
        bytes_.resize(bytes_.size() + sizeof value);
        store(bytes_, bytes_.size() - sizeof value, value);
    }
    void put_bytes(ConstByteSpan bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
    void put_description(const TableDescription& description) {
        put(static_cast<uint8_t>(description.bytes().size()));
        put_bytes(description.bytes());
    }
    /// Seven bits a byte, lowest first; the highest bit says that more follow.
    void put_number(uint64_t number) {
        for (; number >= 128; number >>= 7) {
            put(static_cast<uint8_t>(number | 128));
        }
        put(static_cast<uint8_t>(number));
    }
    Bytes take() { return std::move(bytes_); }

  private:
    Bytes bytes_;
};

/// What isn't there reads as zero, and is_sound() says so.
class RecordReader {
  public:
    explicit RecordReader(ConstByteSpan bytes) : left_(bytes) {}

    ConstByteSpan take_bytes(uint64_t size) {
        if (size > left_.size()) {
            sound_ = false;
            return {};
        }
        const auto taken = left_.first(size);
        left_ = left_.subspan(size);
        return taken;
    }
    template <typename Value>
    Value take() {
        const auto bytes = take_bytes(sizeof(Value));
        return bytes.empty() ? Value{} : load<Value>(bytes, 0);
    }
    TableDescription take_description() {
        const auto size = take<uint8_t>();
        sound_ = sound_ && size <= TableDescription::kMost;
        return sound_ ? TableDescription(take_bytes(size)) : TableDescription();
    }
    uint64_t take_number() {
        uint64_t number = 0;
        for (unsigned shift = 0; shift < 64; shift += 7) {
            const auto byte = take<uint8_t>();
            number |= uint64_t{byte & 127U} << shift;
            if (byte < 128) {
                return number;
            }
        }
        sound_ = false;
        return 0;
    }
    bool is_sound() const { return sound_; }
    bool is_at_end() const { return sound_ && left_.empty(); }

  private:
    ConstByteSpan left_;
    bool sound_ = true;
};

void put_place(const ZstdPlace& place, RecordWriter& out) {
    out.put(static_cast<uint8_t>((place.checksum ? kHasChecksum : 0) |
                                 (place.content_size ? kHasContentSize : 0) |
                                 (place.in_jobs ? kInJobs : 0)));
    out.put(place.window);
    out.put(place.frame_start);
    out.put(place.content_size.value_or(0));
    out.put(place.repeats);
    if (place.checksum) {
        out.put_bytes(*place.checksum);
    }
    out.put_description(place.tables.huffman);
    for (const auto& table : place.tables.sequences) {
        out.put(static_cast<uint8_t>(table.kind));
        out.put_description(table.description);
    }
}

std::optional<ZstdPlace> take_place(RecordReader& in) {
    ZstdPlace place;
    const auto flags = in.take<uint8_t>();
    place.in_jobs = (flags & kInJobs) != 0;
    place.window = in.take<uint64_t>();
    place.frame_start = in.take<uint64_t>();
    if (const auto size = in.take<uint64_t>(); (flags & kHasContentSize) != 0) {
        place.content_size = size;
    }
    place.repeats = in.take<std::array<uint32_t, 3>>();
    if ((flags & kHasChecksum) != 0) {
        place.checksum = in.take<Xxh64::State>();
    }
    place.tables.huffman = in.take_description();
    for (auto& table : place.tables.sequences) {
        const auto kind = in.take<uint8_t>();
        table.kind = static_cast<SequenceTable::Kind>(kind % 3);
        table.description = in.take_description();
        if (kind > 2) {
            return std::nullopt;
        }
    }
    const bool sound = in.is_sound() && flags <= (kHasChecksum | kHasContentSize | kInJobs) &&
                       place.window <= kZstdWindowMost;
    return sound ? std::optional(place) : std::nullopt;
}

/// What a record begins with: the place, and how many plain bytes before it follow.
std::pair<ZstdPlace, uint64_t> take_head(RecordReader& in) {
    const auto place = take_place(in);
    const auto size = in.take<uint64_t>();
    if (!place || !in.is_sound() || size > place->window) {
        fail_damaged_index();
    }
    return {*place, size};
}

/// How many plain bytes before the point the dictionary must hold.
uint64_t history_size(const ZstdPlace& place, const std::vector<SparseHistory::Run>& runs,
                      uint64_t end) {
    const uint64_t reach = runs.empty() ? 0 : end - runs.front().from;
    return std::max<uint64_t>(reach, std::ranges::max(place.repeats));
}

void put_history(const std::vector<SparseHistory::Run>& runs, uint64_t begin, RecordWriter& out) {
    RecordWriter lengths;
    RecordWriter bytes;
    auto at = begin;
    for (size_t i = 0; i < runs.size();) {
        const auto from = runs[i].from;
        auto to = from;
        for (; i < runs.size() && runs[i].from == to; ++i) {
            bytes.put_bytes(runs[i].bytes);
            to += runs[i].bytes.size();
        }
        lengths.put_number(from - at);
        lengths.put_number(to - from);
        at = to;
    }
    const auto packed_lengths = lengths.take();
    out.put(static_cast<uint32_t>(packed_lengths.size()));
    out.put_bytes(packed_lengths);
    out.put_bytes(bytes.take());
}

/// Puts the runs that follow in the record into `plain`.
bool take_history(RecordReader& in, ByteSpan plain) {
    const auto lengths_size = in.take<uint32_t>();
    const auto packed_lengths = in.take_bytes(lengths_size);
    RecordReader lengths(packed_lengths);
    while (in.is_sound() && lengths.is_sound() && !lengths.is_at_end()) {
        const auto gap = lengths.take_number();
        const auto size = lengths.take_number();
        if (gap > plain.size() || size > plain.size() - gap) {
            return false;
        }
        std::ranges::copy(in.take_bytes(size), plain.subspan(gap).begin());
        plain = plain.subspan(gap + size);
    }
    return lengths.is_at_end() && in.is_at_end();
}

}  // namespace

std::optional<Bytes> packed_zstd_state(const ZstdPlace& place, const SparseHistory& history) {
    const auto runs = history.runs();
    const auto size = history_size(place, runs, history.end());
    RecordWriter out;
    put_place(place, out);
    out.put(size);
    put_history(runs, history.end() - size, out);
    const auto record = out.take();
    return record.size() > kRecordMost ? std::nullopt
                                       : std::optional(pack_state(record, kStateLevel));
}

ZstdState unpacked_zstd_state(ConstByteSpan packed) {
    const auto record = unpack_state(packed, kRecordMost);
    RecordReader in(record);
    const auto [place, size] = take_head(in);
    const auto start = zstd_dictionary_start(place);
    ZeroBytes dictionary(start.size() + size);
    std::ranges::copy(start, dictionary.begin());
    if (!take_history(in, ByteSpan(dictionary).subspan(start.size()))) {
        fail_damaged_index();
    }
    return {.place = place, .dictionary = std::move(dictionary)};
}

ZstdNeeds needs_of_zstd_state(const SeekPoint& point) {
    const auto start = unpack_state_start(point.state, kRecordMost, kHeadMost);
    RecordReader in(start.bytes);
    const auto [place, size] = take_head(in);
    // A frame's first repeat offsets reach behind its start, where nothing uses them.
    constexpr uint64_t kFirstRepeatMost = 8;
    if (place.frame_start > point.plain ||
        size > std::max(point.plain - place.frame_start, kFirstRepeatMost)) {
        fail_damaged_index();
    }
    constexpr uint64_t kPages = 8 * kKiB;  // a short run can lie in two
    const uint64_t runs_most = in.take<uint32_t>() / 2;
    return {.dictionary = start.size + size,
            .touched = start.size + std::min(size, start.size + runs_most * kPages),
            .window = place.window};
}

void ZeroBytes::Free::operator()(std::byte* bytes) const {
    if (mapped > 0) {
        ::munmap(bytes, mapped);
    } else {
        std::free(bytes);
    }
}

ZeroBytes::ZeroBytes(size_t size) : size_(size) {
    constexpr size_t kMapped = 4 * kMiB;
    if (size < kMapped) {
        bytes_ = {static_cast<std::byte*>(std::calloc(size, 1)), Free{0}};
    } else if (auto* const mapped = ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
               mapped != MAP_FAILED) {
        ::madvise(mapped, size, MADV_NOHUGEPAGE);  // they would be whole for a few bytes
        bytes_ = {static_cast<std::byte*>(mapped), Free{size}};
    }
    if (!bytes_) {
        throw std::bad_alloc();
    }
}

Bytes zstd_dictionary_start(const ZstdPlace& place) {
    constexpr uint32_t kDictionaryMagic = 0xec30a437;
    constexpr uint32_t kDictionaryNumber = 1;  // zero would stand for none
    constexpr std::array kAnyHuffmanTable = {std::byte{0x80}, std::byte{0x10}};
    RecordWriter out;
    out.put(kDictionaryMagic);
    out.put(kDictionaryNumber);
    const auto huffman = place.tables.huffman.bytes();
    out.put_bytes(huffman.empty() ? ConstByteSpan(kAnyHuffmanTable) : huffman);
    for (const auto part : {SequencePart::offset, SequencePart::match, SequencePart::literals}) {
        // In place of an RLE table, which a dictionary can't hold, anything does: no block takes it
        // over (invariant 3).
        const auto& table = place.tables.sequences[static_cast<size_t>(part)];
        out.put_bytes(table.kind == SequenceTable::Kind::described ? table.description.bytes()
                                                                   : predefined_table(part));
    }
    out.put(place.repeats);
    return out.take();
}

}  // namespace imgfs
