// The sections of a compressed zstd block (RFC 8878, 3.1.1.3), without decoding its literals.
#pragma once

#include <algorithm>
#include <vector>

#include "fs/source/zstd_fse.h"

namespace imgfs {

/// What later blocks may refer back to: the last description of each table.
struct ZstdTables {
    TableDescription huffman = {};                ///< empty: none yet
    std::array<SequenceTable, 3> sequences = {};  // by SequencePart
};

struct ZstdSections {
    uint32_t literals = 0;             ///< plain bytes of the literals section
    uint32_t sequences = 0;            ///< how many
    std::array<bool, 3> repeats = {};  ///< by SequencePart: takes the table of the block before
    ConstByteSpan stream;              ///< the sequences' bits
};

/// Parses the body of a compressed block and brings `tables` up to date. None if it isn't sound;
/// then `tables` may be anything.
std::optional<ZstdSections> parse_zstd_block(ConstByteSpan body, ZstdTables& tables);

struct ZstdSequence {
    uint32_t literals = 0;
    uint32_t match = 0;
    uint32_t offset = 0;  ///< as it is coded: 1 to 3 stand for repeat offsets
};

/// All sequences of a block that makes `plain_size` bytes; `tables` are those that parsing it left.
/// False if they aren't sound.
bool decode_sequences(const ZstdSections& sections, const ZstdTables& tables, size_t plain_size,
                      std::vector<ZstdSequence>& out);

/// An offset, or what becomes of one that isn't known yet.
struct RepeatOffset {
    uint32_t value = 0;  ///< of an unknown one: how much is taken from it
    uint8_t slot = 0;    ///< 0: known; else it was the first, second or third before

    bool is_known() const { return slot == 0; }
};

using RepeatOffsets = std::array<RepeatOffset, 3>;
constexpr RepeatOffsets kFirstRepeatOffsets = {{{1, 0}, {4, 0}, {8, 0}}};
constexpr RepeatOffsets kUnknownRepeatOffsets = {{{0, 1}, {0, 2}, {0, 3}}};

/// The sequence's offset; `repeats` are brought up to date.
inline RepeatOffset next_offset(const ZstdSequence& sequence, RepeatOffsets& repeats) {
    if (sequence.offset > 3) {
        repeats = {{{sequence.offset - 3, 0}, repeats[0], repeats[1]}};
        return repeats[0];
    }
    const auto index = sequence.offset - 1 + (sequence.literals == 0 ? 1 : 0);
    if (index == 0) {
        return repeats[0];
    }
    auto offset = repeats[index == 3 ? 0 : index];
    if (index == 3) {
        // libzstd takes 1 where nothing would be left.
        offset.value = offset.is_known() ? std::max(offset.value, 2U) - 1 : offset.value + 1;
    }
    if (index >= 2) {
        repeats[2] = repeats[1];
    }
    repeats[1] = repeats[0];
    repeats[0] = offset;
    return offset;
}

/// What `later` says, which counts from where `earlier` ends.
RepeatOffsets composed(const RepeatOffsets& earlier, const RepeatOffsets& later);

bool are_known(const RepeatOffsets& repeats);

}  // namespace imgfs
