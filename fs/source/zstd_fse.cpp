#include "fs/source/zstd_fse.h"

#include <algorithm>

namespace imgfs {
namespace {

constexpr size_t kSymbolsMost = 53;
constexpr size_t kLiteralsSymbols = 36;
constexpr size_t kOffsetSymbols = 32;
constexpr unsigned kFirstLog = 5;
constexpr unsigned kOffsetLogMost = 8;

size_t symbols_of(SequencePart part) {
    switch (part) {
        case SequencePart::literals:
            return kLiteralsSymbols;
        case SequencePart::offset:
            return kOffsetSymbols;
        default:
            return kSymbolsMost;
    }
}

unsigned log_most_of(SequencePart part) {
    return part == SequencePart::offset ? kOffsetLogMost : FseTable::kLogMost;
}

constexpr auto as_bytes(const auto& values) {
    std::array<std::byte, std::tuple_size_v<std::remove_cvref_t<decltype(values)>>> bytes{};
    std::ranges::transform(values, bytes.begin(),
                           [](int value) { return static_cast<std::byte>(value); });
    return bytes;
}

constexpr auto kPredefinedLiterals =
    as_bytes(std::array{0x51, 0x10, 0x63, 0x8c, 0x31, 0xc6, 0x18, 0x63, 0x0c, 0x21,
                        0xc4, 0x18, 0x63, 0x66, 0x66, 0x86, 0x46, 0x92, 0x04, 0x00});
constexpr auto kPredefinedOffset = as_bytes(
    std::array{0x20, 0x84, 0x10, 0x42, 0x66, 0x46, 0x44, 0x44, 0x44, 0x44, 0x24, 0x49, 0x02, 0x00});
constexpr auto kPredefinedMatch = as_bytes(std::array{
    0x21, 0x14, 0xc4, 0x18, 0x63, 0x8c, 0x21, 0x84, 0x10, 0x42, 0x08, 0x21, 0x84, 0x10, 0x42,
    0x08, 0x21, 0x44, 0x44, 0x44, 0x44, 0x44, 0x44, 0x44, 0x44, 0x24, 0x09, 0x00, 0x00});

/// Values from 16 (literals) and 35 (match) on have extra bits.
constexpr std::array<uint8_t, 20> kLiteralsExtra = {1, 1, 1, 1,  2,  2,  3,  3,  4,  6,
                                                    7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
constexpr std::array<uint8_t, 21> kMatchExtra = {1, 1, 1, 1,  2,  2,  3,  3,  4,  4, 5,
                                                 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

/// Base and extra bits of each symbol.
struct Values {
    std::array<uint32_t, kSymbolsMost> base{};
    std::array<uint8_t, kSymbolsMost> extra{};
};

template <size_t kSize>
constexpr Values values_from(size_t first, uint32_t base, const std::array<uint8_t, kSize>& extra) {
    Values values;
    for (size_t i = 0; i < first; ++i) {
        values.base[i] = static_cast<uint32_t>(i) + base;
    }
    auto next = static_cast<uint32_t>(first) + base;
    for (size_t i = 0; i < kSize; ++i) {
        values.base[first + i] = next;
        values.extra[first + i] = extra[i];
        next += uint32_t{1} << extra[i];
    }
    return values;
}

constexpr Values kLiteralsValues = values_from(16, 0, kLiteralsExtra);
constexpr Values kMatchValues = values_from(32, 3, kMatchExtra);
static_assert(kLiteralsValues.base[25] == 64 && kLiteralsValues.base[35] == 65536);
static_assert(kMatchValues.base[42] == 99 && kMatchValues.base[52] == 65539);

constexpr Values offset_values() {
    Values values;
    for (unsigned i = 0; i < kOffsetSymbols; ++i) {
        values.base[i] = uint32_t{1} << i;
        values.extra[i] = static_cast<uint8_t>(i);
    }
    return values;
}
constexpr Values kOffsetValues = offset_values();

const Values& values_of(SequencePart part) {
    switch (part) {
        case SequencePart::literals:
            return kLiteralsValues;
        case SequencePart::offset:
            return kOffsetValues;
        default:
            return kMatchValues;
    }
}

/// Bits from the front, lowest first; zeros behind the end.
class ForwardBits {
  public:
    explicit ForwardBits(ConstByteSpan bytes) : bytes_(bytes) {}

    uint32_t peek(unsigned count) const {
        uint32_t value = 0;
        for (unsigned i = 0; i < 4 && at_ / 8 + i < bytes_.size(); ++i) {
            value |= std::to_integer<uint32_t>(bytes_[at_ / 8 + i]) << (8 * i);
        }
        return value >> (at_ % 8) & ((1U << count) - 1);  // 16 bits at most
    }
    void skip(unsigned count) { at_ += count; }
    uint32_t take(unsigned count) {
        const auto value = peek(count);
        skip(count);
        return value;
    }
    size_t bytes_taken() const { return (at_ + 7) / 8; }

  private:
    ConstByteSpan bytes_;
    size_t at_ = 0;
};

struct Distribution {
    unsigned log = 0;
    size_t description_size = 0;
    std::array<int16_t, kSymbolsMost> weights{};  // -1 for "less than one"
};

/// The next weight; `left` is what the weights may still sum up to, plus one.
int take_weight(ForwardBits& bits, int left, int threshold) {
    const auto width = static_cast<unsigned>(std::bit_width(static_cast<unsigned>(threshold)));
    const int short_ones = 2 * threshold - 1 - left;
    const auto low = static_cast<int>(bits.peek(width - 1));
    if (low < short_ones) {
        bits.skip(width - 1);
        return low - 1;
    }
    const auto value = static_cast<int>(bits.take(width));
    return (value >= threshold ? value - short_ones : value) - 1;
}

std::optional<Distribution> read_distribution(SequencePart part, ConstByteSpan bytes) {
    Distribution result;
    ForwardBits bits(bytes);
    result.log = bits.take(4) + kFirstLog;
    if (result.log > log_most_of(part)) {
        return std::nullopt;
    }
    int left = (1 << result.log) + 1;
    int threshold = 1 << result.log;
    size_t symbol = 0;
    while (left > 1) {
        if (symbol >= symbols_of(part)) {
            return std::nullopt;
        }
        const int weight = take_weight(bits, left, threshold);
        result.weights[symbol++] = static_cast<int16_t>(weight);
        left -= weight < 0 ? 1 : weight;
        if (weight == 0) {
            uint32_t more = 3;
            while (more == 3 && symbol < symbols_of(part)) {
                more = bits.take(2);
                symbol += more;
            }
        }
        while (left < threshold && threshold > 1) {
            threshold /= 2;
        }
    }
    result.description_size = bits.bytes_taken();
    if (left != 1 || symbol > symbols_of(part) || result.description_size > bytes.size()) {
        return std::nullopt;
    }
    return result;
}

/// Which symbol each state stands for.
void spread_symbols(const Distribution& given, std::array<uint8_t, 1 << FseTable::kLogMost>& out) {
    const auto size = size_t{1} << given.log;
    auto high = size;
    for (size_t symbol = 0; symbol < given.weights.size(); ++symbol) {
        if (given.weights[symbol] < 0) {
            out[--high] = static_cast<uint8_t>(symbol);
        }
    }
    const auto step = size / 2 + size / 8 + 3;
    size_t at = 0;
    for (size_t symbol = 0; symbol < given.weights.size(); ++symbol) {
        for (int i = 0; i < given.weights[symbol]; ++i) {
            out[at] = static_cast<uint8_t>(symbol);
            do {
                at = (at + step) % size;
            } while (at >= high);
        }
    }
}

void fill_table(const Distribution& given, const Values& values, FseTable& table) {
    std::array<uint8_t, 1 << FseTable::kLogMost> symbols;
    spread_symbols(given, symbols);
    std::array<uint32_t, kSymbolsMost> next;
    std::ranges::transform(given.weights, next.begin(), [](int16_t weight) {
        return weight < 0 ? 1U : static_cast<uint32_t>(weight);
    });
    table.log = given.log;
    const auto size = uint32_t{1} << given.log;
    for (uint32_t state = 0; state < size; ++state) {
        const auto symbol = symbols[state];
        const auto count = next[symbol]++;
        const auto bits = given.log + 1 - static_cast<unsigned>(std::bit_width(count));
        table.entries[state] = {.base = values.base[symbol],
                                .next_state = static_cast<uint16_t>((count << bits) - size),
                                .extra_bits = values.extra[symbol],
                                .state_bits = static_cast<uint8_t>(bits)};
    }
}

}  // namespace

TableDescription::TableDescription(ConstByteSpan bytes)
    : size_(static_cast<uint8_t>(bytes.size())) {
    std::ranges::copy(bytes.first(size_), bytes_.begin());
}

ConstByteSpan predefined_table(SequencePart part) {
    switch (part) {
        case SequencePart::literals:
            return kPredefinedLiterals;
        case SequencePart::offset:
            return kPredefinedOffset;
        default:
            return kPredefinedMatch;
    }
}

std::optional<size_t> fse_description_size(SequencePart part, ConstByteSpan bytes) {
    const auto given = read_distribution(part, bytes);
    return given ? std::optional(given->description_size) : std::nullopt;
}

bool build_table(SequencePart part, const SequenceTable& described, FseTable& table) {
    const auto& values = values_of(part);
    const auto bytes = described.kind == SequenceTable::Kind::predefined
                           ? predefined_table(part)
                           : described.description.bytes();
    if (described.kind != SequenceTable::Kind::rle) {
        const auto given = read_distribution(part, bytes);
        if (given) {
            fill_table(*given, values, table);
        }
        return given.has_value();
    }
    const auto symbol = bytes.empty() ? kSymbolsMost : std::to_integer<size_t>(bytes[0]);
    if (symbol >= symbols_of(part)) {
        return false;
    }
    table.log = 0;
    table.entries[0] = {.base = values.base[symbol], .extra_bits = values.extra[symbol]};
    return true;
}

}  // namespace imgfs
