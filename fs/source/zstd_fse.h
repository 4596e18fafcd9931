// FSE tables of zstd's sequences: their descriptions, and what they decode to (RFC 8878, 4.1).
#pragma once

#include <array>
#include <optional>

#include "fs/base/bytes.h"

namespace imgfs {

/// The three parts of a sequence, in the order in which a block describes their tables.
enum class SequencePart : uint8_t { literals, offset, match };
inline constexpr std::array kSequenceParts = {SequencePart::literals, SequencePart::offset,
                                              SequencePart::match};

/// A few bytes that a block says of a table.
class TableDescription {
  public:
    static constexpr size_t kMost = 128;  ///< of a Huffman table; FSE tables need less

    TableDescription() = default;
    /// At most kMost bytes.
    explicit TableDescription(ConstByteSpan bytes);
    ConstByteSpan bytes() const { return ConstByteSpan(bytes_).first(size_); }

  private:
    std::array<std::byte, kMost> bytes_{};
    uint8_t size_ = 0;
};

/// As zstd's dictionaries hold it, too: the description of the table that the format predefines.
ConstByteSpan predefined_table(SequencePart part);

/// How a sequence's table was last told.
struct SequenceTable {
    enum class Kind : uint8_t { predefined, rle, described };
    Kind kind = Kind::predefined;
    TableDescription description = {};  ///< of an RLE table the symbol; empty where predefined
};

struct FseEntry {
    uint32_t base = 0;  ///< of the value, to which the extra bits are added
    uint16_t next_state = 0;
    uint8_t extra_bits = 0;
    uint8_t state_bits = 0;
};

struct FseTable {
    static constexpr unsigned kLogMost = 9;
    unsigned log = 0;
    std::array<FseEntry, 1 << kLogMost> entries;  // the first 1 << log are set
};

/// Length of the FSE description that `bytes` begin with; none if it isn't sound.
std::optional<size_t> fse_description_size(SequencePart part, ConstByteSpan bytes);

/// False if the description isn't sound.
bool build_table(SequencePart part, const SequenceTable& described, FseTable& table);

}  // namespace imgfs
