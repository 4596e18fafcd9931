#include "sync/wire.h"

#include <cerrno>

#include "fs/base/error.h"

namespace imgsync {

void fail_protocol(const std::string& what) {
    imgfs::fail(EPROTO, "connection: the other end sent " + what +
                            "; are both ends the same version of imgsync?");
}

void Packer::put_text(std::string_view text) {
    put(static_cast<uint32_t>(text.size()));
    put_bytes(imgfs::bytes_of(text));
}

bool Unpacker::get_flag() {
    const auto value = get<uint8_t>();
    if (value > 1) {
        fail_protocol("a flag that is neither 0 nor 1");
    }
    return value == 1;
}

ConstByteSpan Unpacker::get_bytes(size_t count) {
    if (count > left_.size()) {
        fail_protocol("a frame that is too short");
    }
    const auto bytes = left_.first(count);
    left_ = left_.subspan(count);
    return bytes;
}

std::string Unpacker::get_text(size_t longest) {
    const auto length = get<uint32_t>();
    if (length > longest) {
        fail_protocol("a text of " + std::to_string(length) + " bytes");
    }
    return std::string(imgfs::text_of(get_bytes(length)));
}

void Unpacker::end() const {
    if (!left_.empty()) {
        fail_protocol("a frame that is too long");
    }
}

}  // namespace imgsync
