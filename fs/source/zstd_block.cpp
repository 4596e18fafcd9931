#include "fs/source/zstd_block.h"

#include <algorithm>

namespace imgfs {
namespace {

enum class LiteralsKind : uint8_t { raw, rle, compressed, treeless };
enum class TableMode : uint8_t { predefined, rle, described, repeat };

struct LiteralsHeader {
    LiteralsKind kind = LiteralsKind::raw;
    size_t size = 0;  // of the header
    uint32_t plain = 0;
    uint32_t packed = 0;
};

std::optional<LiteralsHeader> literals_header(ConstByteSpan body) {
    std::array<std::byte, 8> padded{};
    std::ranges::copy(body.first(std::min<size_t>(body.size(), 5)), padded.begin());
    const auto value = le64(padded, 0);
    const auto format = value >> 2 & 3;
    LiteralsHeader header{.kind = static_cast<LiteralsKind>(value & 3)};
    if (header.kind == LiteralsKind::raw || header.kind == LiteralsKind::rle) {
        header.size = format == 1 ? 2 : format == 3 ? 3 : 1;
        const auto bits = 8 * header.size;
        const auto above = value & ((uint64_t{1} << bits) - 1);
        header.plain = static_cast<uint32_t>(above >> (header.size == 1 ? 3 : 4));
        header.packed = header.kind == LiteralsKind::raw ? header.plain : 1;
    } else {
        const unsigned bits = format < 2 ? 10 : format == 2 ? 14 : 18;
        const auto mask = (uint64_t{1} << bits) - 1;
        header.size = (4 + 2 * bits) / 8;
        header.plain = static_cast<uint32_t>(value >> 4 & mask);
        header.packed = static_cast<uint32_t>(value >> (4 + bits) & mask);
    }
    if (body.size() < header.size + header.packed) {
        return std::nullopt;
    }
    return header;
}

/// Length of the description that a Huffman-coded section begins with.
std::optional<size_t> huffman_description_size(ConstByteSpan section) {
    if (section.empty()) {
        return std::nullopt;
    }
    const auto first = std::to_integer<size_t>(section[0]);
    const auto size = 1 + (first < 128 ? first : (first - 126) / 2);
    if (size > section.size() || size > TableDescription::kMost) {
        return std::nullopt;
    }
    return size;
}

/// What is left of `body` behind the literals section.
std::optional<ConstByteSpan> parse_literals(ConstByteSpan body, ZstdSections& sections,
                                            ZstdTables& tables) {
    const auto header = literals_header(body);
    if (!header) {
        return std::nullopt;
    }
    sections.literals = header->plain;
    const auto section = body.subspan(header->size, header->packed);
    if (header->kind == LiteralsKind::compressed) {
        const auto size = huffman_description_size(section);
        if (!size) {
            return std::nullopt;
        }
        tables.huffman = TableDescription(section.first(*size));
    }
    return body.subspan(header->size + header->packed);
}

/// Takes the number of sequences from `left`.
std::optional<uint32_t> take_count(ConstByteSpan& left) {
    std::array<std::byte, 3> start{};
    std::ranges::copy(left.first(std::min<size_t>(left.size(), 3)), start.begin());
    const auto first = std::to_integer<uint32_t>(start[0]);
    const auto second = std::to_integer<uint32_t>(start[1]);
    const size_t size = first < 128 ? 1 : first < 255 ? 2 : 3;
    if (left.size() < size) {
        return std::nullopt;
    }
    left = left.subspan(size);
    return size == 1   ? first
           : size == 2 ? (first - 128) * 256 + second
                       : uint32_t{le16(start, 1)} + 0x7f00;
}

/// Takes one table's description from `left`.
bool take_table(SequencePart part, TableMode mode, ConstByteSpan& left, SequenceTable& table) {
    size_t size = 0;
    if (mode == TableMode::repeat) {
        return true;
    }
    if (mode == TableMode::rle) {
        size = 1;
    } else if (mode == TableMode::described) {
        size = fse_description_size(part, left).value_or(SIZE_MAX);
    }
    if (size > left.size() || size > TableDescription::kMost) {
        return false;
    }
    table = {.kind = static_cast<SequenceTable::Kind>(mode),
             .description = TableDescription(left.first(size))};
    left = left.subspan(size);
    return true;
}

/// Bits from the back, as zstd's sequences are read.
class BackwardBits {
  public:
    /// The highest bit that is set ends the stream; sound() is false if there is none.
    explicit BackwardBits(ConstByteSpan bytes) : bytes_(bytes) {
        const auto last = bytes.empty() ? 0U : std::to_integer<unsigned>(bytes.back());
        left_ = last == 0 ? -1 : static_cast<int64_t>(8 * bytes.size()) - 9 + std::bit_width(last);
    }

    /// At most 56 bits; zero once there are too few.
    uint64_t take(unsigned count) {
        left_ -= count;
        if (left_ < 0) {
            return 0;
        }
        const auto at = static_cast<size_t>(left_ >> 3);
        const auto word =
            at + 8 <= bytes_.size() ? load_at(at, 8) : load_at(at, bytes_.size() - at);
        return word >> (left_ & 7) & ((uint64_t{1} << count) - 1);
    }
    bool is_sound() const { return left_ >= 0; }
    bool is_at_end() const { return left_ == 0; }

  private:
    uint64_t load_at(size_t at, size_t size) const {
        uint64_t word = 0;
        std::memcpy(&word, bytes_.data() + at, size);
        return word;
    }

    ConstByteSpan bytes_;
    int64_t left_;  // bits
};

/// Where the three tables stand while sequences are decoded.
struct States {
    const FseTable& table;
    uint64_t state;

    const FseEntry& entry() const { return table.entries[state]; }
    void move(uint64_t bits) {
        const auto& now = entry();
        state = now.next_state + (bits & ((uint64_t{1} << now.state_bits) - 1));
    }
};

/// The next sequence; the states are left where they are.
ZstdSequence take_sequence(BackwardBits& bits, const FseEntry& literals, const FseEntry& offset,
                           const FseEntry& match) {
    const auto offset_bits = bits.take(offset.extra_bits);
    const auto lengths = bits.take(literals.extra_bits + match.extra_bits);
    const auto literals_mask = (uint64_t{1} << literals.extra_bits) - 1;
    return {.literals = literals.base + static_cast<uint32_t>(lengths & literals_mask),
            .match = match.base + static_cast<uint32_t>(lengths >> literals.extra_bits),
            .offset = offset.base + static_cast<uint32_t>(offset_bits)};
}

bool decode_all(const std::array<FseTable, 3>& tables, const ZstdSections& sections,
                std::vector<ZstdSequence>& out) {
    BackwardBits bits(sections.stream);
    States literals{tables[0], bits.take(tables[0].log)};
    States offset{tables[1], bits.take(tables[1].log)};
    States match{tables[2], bits.take(tables[2].log)};
    out.resize(sections.sequences);
    for (size_t i = 0; i < out.size() && bits.is_sound(); ++i) {
        out[i] = take_sequence(bits, literals.entry(), offset.entry(), match.entry());
        if (i + 1 == out.size()) {
            break;
        }
        const unsigned match_bits = match.entry().state_bits;
        const unsigned offset_bits = offset.entry().state_bits;
        const unsigned all = literals.entry().state_bits + match_bits + offset_bits;
        const auto value = bits.take(all);
        literals.move(value >> (match_bits + offset_bits));
        match.move(value >> offset_bits);
        offset.move(value);
    }
    return bits.is_at_end();
}

}  // namespace

std::optional<ZstdSections> parse_zstd_block(ConstByteSpan body, ZstdTables& tables) {
    ZstdSections sections;
    const auto behind_literals = parse_literals(body, sections, tables);
    if (!behind_literals) {
        return std::nullopt;
    }
    auto left = *behind_literals;
    const auto count = take_count(left);
    if (!count || (*count != 0 && left.empty())) {
        return std::nullopt;
    }
    sections.sequences = *count;
    if (sections.sequences == 0) {
        return sections;
    }
    const auto modes = std::to_integer<unsigned>(left[0]);
    left = left.subspan(1);
    for (const auto part : kSequenceParts) {
        const auto number = static_cast<unsigned>(part);
        const auto mode = static_cast<TableMode>(modes >> (6 - 2 * number) & 3);
        sections.repeats[number] = mode == TableMode::repeat;
        if (!take_table(part, mode, left, tables.sequences[number])) {
            return std::nullopt;
        }
    }
    sections.stream = left;
    return sections;
}

bool decode_sequences(const ZstdSections& sections, const ZstdTables& tables, size_t plain_size,
                      std::vector<ZstdSequence>& out) {
    out.clear();
    if (sections.sequences == 0) {
        return sections.literals == plain_size;
    }
    // The shortest match has three bytes.
    if (sections.sequences > plain_size / 3) {
        return false;
    }
    std::array<FseTable, 3> built;
    for (const auto part : kSequenceParts) {
        const auto number = static_cast<size_t>(part);
        if (!build_table(part, tables.sequences[number], built[number])) {
            return false;
        }
    }
    if (!decode_all(built, sections, out)) {
        return false;
    }
    uint64_t literals = 0;
    uint64_t matches = 0;
    for (const auto& sequence : out) {
        literals += sequence.literals;
        matches += sequence.match;
    }
    return literals <= sections.literals && sections.literals + matches == plain_size;
}

RepeatOffsets composed(const RepeatOffsets& earlier, const RepeatOffsets& later) {
    auto result = later;
    for (auto& offset : result) {
        if (offset.is_known()) {
            continue;
        }
        const auto& before = earlier[offset.slot - 1];
        offset =
            before.is_known()
                ? RepeatOffset{before.value > offset.value ? before.value - offset.value : 1, 0}
                : RepeatOffset{before.value + offset.value, before.slot};
    }
    return result;
}

bool are_known(const RepeatOffsets& repeats) {
    return std::ranges::all_of(repeats, &RepeatOffset::is_known);
}

}  // namespace imgfs
