// Integers and texts in a frame's payload: little-endian, every length before what it counts.
#pragma once

#include <string>
#include <string_view>

#include "fs/base/bytes.h"

namespace imgsync {

using imgfs::Bytes;
using imgfs::ByteSpan;
using imgfs::ConstByteSpan;

/// Throws EPROTO: the other end sent what the protocol doesn't allow.
[[noreturn]] void fail_protocol(const std::string& what);

class Packer {
  public:
    template <typename Integer>
    void put(Integer value) {
        const auto at = bytes_.size();
        bytes_.resize(at + sizeof value);
        imgfs::store(bytes_, at, value);
    }
    void put_bytes(ConstByteSpan bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
    /// A 32-bit length, then the text.
    void put_text(std::string_view text);

    const Bytes& bytes() const { return bytes_; }

  private:
    Bytes bytes_;
};

/// Reads what a Packer wrote. Nothing is believed: reading past the end is a fail_protocol().
class Unpacker {
  public:
    explicit Unpacker(ConstByteSpan bytes) : left_(bytes) {}

    template <typename Integer>
    Integer get() {
        return imgfs::load<Integer>(get_bytes(sizeof(Integer)), 0);
    }
    bool get_flag();
    ConstByteSpan get_bytes(size_t count);
    std::string get_text(size_t longest);
    /// Nothing may be left over.
    void end() const;

  private:
    ConstByteSpan left_;
};

}  // namespace imgsync
