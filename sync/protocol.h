// The frames between the two ends of a push. Their bytes, order and limits: PROTOCOL.md.
#pragma once

#include <string>
#include <vector>

#include "fs/base/checksum.h"
#include "sync/entry.h"

namespace imgsync {

using imgfs::Hash128;

constexpr uint16_t kProtocolVersion = 1;

constexpr size_t kLargestPayload = 1024 * imgfs::kKiB;
constexpr size_t kDataPiece = 128 * imgfs::kKiB;   ///< of a file in one frame
constexpr size_t kPieceEntries = 128;              ///< of a directory in one frame
constexpr size_t kPieceBytes = 256 * imgfs::kKiB;  ///< of entries; one more may pass it
constexpr size_t kPiecesAhead = 256;               ///< pieces sent and not yet `listed`
constexpr size_t kSignaturesAhead = 8;             ///< signatures sent whose file isn't finished
constexpr size_t kMostExcludes = 10'000;
constexpr size_t kLongestPattern = 4096;
constexpr uint64_t kDeltaFrom = 64 * imgfs::kKiB;  ///< smaller files travel whole

enum class FrameType : uint8_t {
    // from the source
    hello = 1,
    tree,
    list,
    begin,
    data,
    zeros,
    delta,
    end,
    gone,
    same,
    differs,
    tree_end,
    // from the target
    welcome = 33,
    want,
    signature,
    listed,
    finished,
    item,
    problem,
    refused,
    summary,
};

struct Hello {
    uint16_t version = kProtocolVersion;
    bool delete_extra = false;
    bool dry_run = false;
    bool checksum = false;
    bool list_items = false;
    std::string target;
    std::vector<std::string> excludes;
};

struct Welcome {
    bool is_imgfs = false;
};

/// Some entries of a directory, in the order of their names.
struct Piece {
    uint64_t directory = 0;
    uint64_t number = 0;
    bool last = false;
    bool complete = true;  ///< false: not all names are known, so nothing may be deleted there
    std::vector<Entry> entries;
};

enum class How : uint8_t { whole, delta, compare };

struct Begin {
    uint64_t id = 0;
    How how = How::whole;
    uint64_t size = 0;
    Time modified;
};

struct Want {
    uint64_t id = 0;
    How how = How::whole;
    Hash128 hash{};                 ///< to compare with
    uint64_t signature_length = 0;  ///< of the signature frames that follow for a delta
};

enum class Action : uint8_t { created, changed, attributes, linked, deleted };

/// A change of the target, for people to read.
struct Item {
    Action action = Action::created;
    Kind kind = Kind::file;
    std::string path;
};

struct Refusal {
    int code = 0;
    std::string text;
};

/// What was done at the target, or in a dry run would be.
struct TargetCounts {
    uint64_t created = 0;
    uint64_t changed = 0;
    uint64_t attributes = 0;  ///< only the attributes changed
    uint64_t linked = 0;      ///< further names of an inode
    uint64_t deleted = 0;
    uint64_t kept = 0;           ///< names that only the target has
    uint64_t not_permitted = 0;  ///< owners, devices and xattrs that an ordinary user can't set
    uint64_t resent = 0;         ///< files whose first transfer didn't have the right hash
    bool operator==(const TargetCounts&) const = default;
};

Bytes pack(const Hello& hello);
Bytes pack(const Welcome& welcome);
Bytes pack_root(const Entry& root);
Bytes pack(const Piece& piece);
Bytes pack(const Begin& begin);
Bytes pack(const Want& want);
Bytes pack(const Item& item);
Bytes pack(const Refusal& refusal);
Bytes pack(const TargetCounts& counts);
Bytes pack_number(uint64_t number);
Bytes pack_text(std::string_view text);

Hello unpack_hello(ConstByteSpan payload);
Welcome unpack_welcome(ConstByteSpan payload);
Entry unpack_root(ConstByteSpan payload);
Piece unpack_piece(ConstByteSpan payload);
Begin unpack_begin(ConstByteSpan payload);
Want unpack_want(ConstByteSpan payload);
Item unpack_item(ConstByteSpan payload);
Refusal unpack_refusal(ConstByteSpan payload);
TargetCounts unpack_counts(ConstByteSpan payload);
uint64_t unpack_number(ConstByteSpan payload);
std::string unpack_text(ConstByteSpan payload);
Hash128 unpack_hash(ConstByteSpan payload);

}  // namespace imgsync
