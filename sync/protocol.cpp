#include "sync/protocol.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include "fs/base/error.h"

namespace imgsync {
namespace {

constexpr std::string_view kMagic = "imgsync\n";

constexpr std::array kCounters = {
    &TargetCounts::created,       &TargetCounts::changed, &TargetCounts::attributes,
    &TargetCounts::linked,        &TargetCounts::deleted, &TargetCounts::kept,
    &TargetCounts::not_permitted, &TargetCounts::resent,
};

template <typename Enum>
Enum get_enum(Unpacker& unpacker, Enum last) {
    const auto value = unpacker.get<uint8_t>();
    if (value > static_cast<uint8_t>(last)) {
        fail_protocol("an unknown value");
    }
    return static_cast<Enum>(value);
}

Hash128 get_hash(Unpacker& unpacker) {
    Hash128 hash;
    std::ranges::copy(unpacker.get_bytes(hash.size()), hash.begin());
    return hash;
}

}  // namespace

Bytes pack(const Hello& hello) {
    Packer packer;
    packer.put_bytes(imgfs::bytes_of(kMagic));
    packer.put(hello.version);
    for (const bool flag : {hello.delete_extra, hello.dry_run, hello.checksum, hello.list_items}) {
        packer.put(static_cast<uint8_t>(flag));
    }
    packer.put_text(hello.target);
    packer.put(static_cast<uint32_t>(hello.excludes.size()));
    for (const auto& pattern : hello.excludes) {
        packer.put_text(pattern);
    }
    return packer.bytes();
}

Hello unpack_hello(ConstByteSpan payload) {
    Unpacker unpacker(payload);
    if (imgfs::text_of(unpacker.get_bytes(kMagic.size())) != kMagic) {
        fail_protocol("something else than imgsync's greeting");
    }
    Hello hello;
    hello.version = unpacker.get<uint16_t>();
    if (hello.version != kProtocolVersion) {
        imgfs::fail(EPROTONOSUPPORT,
                    "connection: the other end speaks version " + std::to_string(hello.version) +
                        " of the protocol, this one " + std::to_string(kProtocolVersion) +
                        "; install the same version of imgsync at both ends");
    }
    for (bool* flag : {&hello.delete_extra, &hello.dry_run, &hello.checksum, &hello.list_items}) {
        *flag = unpacker.get_flag();
    }
    hello.target = unpacker.get_text(kLongestPath);
    const auto count = unpacker.get<uint32_t>();
    if (hello.target.empty() || hello.target.find('\0') != std::string::npos ||
        count > kMostExcludes) {
        fail_protocol("an impossible greeting");
    }
    for (uint32_t index = 0; index < count; ++index) {
        hello.excludes.push_back(unpacker.get_text(kLongestPattern));
    }
    unpacker.end();
    return hello;
}

Bytes pack(const Welcome& welcome) {
    Packer packer;
    packer.put_bytes(imgfs::bytes_of(kMagic));
    packer.put(kProtocolVersion);
    packer.put(static_cast<uint8_t>(welcome.is_imgfs));
    return packer.bytes();
}

Welcome unpack_welcome(ConstByteSpan payload) {
    Unpacker unpacker(payload);
    if (imgfs::text_of(unpacker.get_bytes(kMagic.size())) != kMagic ||
        unpacker.get<uint16_t>() != kProtocolVersion) {
        fail_protocol("something else than imgsync's answer");
    }
    const Welcome welcome{.is_imgfs = unpacker.get_flag()};
    unpacker.end();
    return welcome;
}

Bytes pack_root(const Entry& root) {
    Packer packer;
    pack(packer, root);
    return packer.bytes();
}

Entry unpack_root(ConstByteSpan payload) {
    Unpacker unpacker(payload);
    auto root = unpack_root(unpacker);
    unpacker.end();
    return root;
}

Bytes pack(const Piece& piece) {
    Packer packer;
    packer.put(piece.directory);
    packer.put(piece.number);
    packer.put(static_cast<uint8_t>(piece.last));
    packer.put(static_cast<uint8_t>(piece.complete));
    packer.put(static_cast<uint32_t>(piece.entries.size()));
    for (const auto& entry : piece.entries) {
        pack(packer, entry);
    }
    return packer.bytes();
}

Piece unpack_piece(ConstByteSpan payload) {
    Unpacker unpacker(payload);
    Piece piece;
    piece.directory = unpacker.get<uint64_t>();
    piece.number = unpacker.get<uint64_t>();
    piece.last = unpacker.get_flag();
    piece.complete = unpacker.get_flag();
    const auto count = unpacker.get<uint32_t>();
    if (count > kPieceEntries) {
        fail_protocol("too many names in one frame");
    }
    for (uint32_t index = 0; index < count; ++index) {
        piece.entries.push_back(unpack_entry(unpacker));
    }
    unpacker.end();
    return piece;
}

Bytes pack(const Begin& begin) {
    Packer packer;
    packer.put(begin.id);
    packer.put(static_cast<uint8_t>(begin.how));
    packer.put(begin.size);
    packer.put(begin.modified.seconds);
    packer.put(begin.modified.nanoseconds);
    return packer.bytes();
}

Begin unpack_begin(ConstByteSpan payload) {
    Unpacker unpacker(payload);
    Begin begin;
    begin.id = unpacker.get<uint64_t>();
    begin.how = get_enum(unpacker, How::delta);
    begin.size = unpacker.get<uint64_t>();
    begin.modified.seconds = unpacker.get<int64_t>();
    begin.modified.nanoseconds = unpacker.get<uint32_t>();
    if (begin.size > INT64_MAX || begin.modified.nanoseconds >= 1'000'000'000) {
        fail_protocol("an impossible size or time of a file");
    }
    unpacker.end();
    return begin;
}

Bytes pack(const Want& want) {
    Packer packer;
    packer.put(want.id);
    packer.put(static_cast<uint8_t>(want.how));
    packer.put_bytes(want.hash);
    packer.put(want.signature_length);
    return packer.bytes();
}

Want unpack_want(ConstByteSpan payload) {
    Unpacker unpacker(payload);
    Want want;
    want.id = unpacker.get<uint64_t>();
    want.how = get_enum(unpacker, How::compare);
    want.hash = get_hash(unpacker);
    want.signature_length = unpacker.get<uint64_t>();
    unpacker.end();
    return want;
}

Bytes pack(const Item& item) {
    Packer packer;
    packer.put(static_cast<uint8_t>(item.action));
    packer.put(static_cast<uint8_t>(item.kind));
    packer.put_text(item.path);
    return packer.bytes();
}

Item unpack_item(ConstByteSpan payload) {
    Unpacker unpacker(payload);
    Item item;
    item.action = get_enum(unpacker, Action::deleted);
    item.kind = get_enum(unpacker, Kind::block);
    item.path = unpacker.get_text(kLongestPath);
    unpacker.end();
    return item;
}

Bytes pack(const Refusal& refusal) {
    Packer packer;
    packer.put(static_cast<uint32_t>(refusal.code));
    packer.put_text(refusal.text);
    return packer.bytes();
}

Refusal unpack_refusal(ConstByteSpan payload) {
    Unpacker unpacker(payload);
    const auto code = unpacker.get<uint32_t>();
    Refusal refusal{.code = code > 0 && code < 4096 ? static_cast<int>(code) : EIO,
                    .text = unpacker.get_text(kLongestPath)};
    unpacker.end();
    return refusal;
}

Bytes pack(const TargetCounts& counts) {
    Packer packer;
    for (const auto counter : kCounters) {
        packer.put(counts.*counter);
    }
    return packer.bytes();
}

TargetCounts unpack_counts(ConstByteSpan payload) {
    Unpacker unpacker(payload);
    TargetCounts counts;
    for (const auto counter : kCounters) {
        counts.*counter = unpacker.get<uint64_t>();
    }
    unpacker.end();
    return counts;
}

Bytes pack_number(uint64_t number) {
    Packer packer;
    packer.put(number);
    return packer.bytes();
}

uint64_t unpack_number(ConstByteSpan payload) {
    Unpacker unpacker(payload);
    const auto number = unpacker.get<uint64_t>();
    unpacker.end();
    return number;
}

Bytes pack_text(std::string_view text) {
    Packer packer;
    packer.put_text(text);
    return packer.bytes();
}

std::string unpack_text(ConstByteSpan payload) {
    Unpacker unpacker(payload);
    auto text = unpacker.get_text(kLongestPath);
    unpacker.end();
    return text;
}

Hash128 unpack_hash(ConstByteSpan payload) {
    Unpacker unpacker(payload);
    const auto hash = get_hash(unpacker);
    unpacker.end();
    return hash;
}

}  // namespace imgsync
