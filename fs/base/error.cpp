#include "fs/base/error.h"

#include <cerrno>
#include <new>

namespace imgfs {

void fail(int code, const std::string& what) {
    throw std::system_error(code, std::generic_category(), what);
}

void fail_errno(const std::string& what) {
    const int code = errno;
    fail(code, what + ": " + std::generic_category().message(code));
}

std::string message_of(const std::exception& error) {
    std::string line = error.what();
    if (const auto* fault = dynamic_cast<const std::system_error*>(&error)) {
        // The standard library appends ": <errno text>" to the line that fail() was given.
        const auto added = ": " + fault->code().message();
        if (line.size() > added.size() && line.ends_with(added)) {
            line.resize(line.size() - added.size());
        }
    }
    return line;
}

int errno_of(const std::exception& error) {
    if (const auto* fault = dynamic_cast<const std::system_error*>(&error)) {
        return fault->code().value();
    }
    return dynamic_cast<const std::bad_alloc*>(&error) != nullptr ? ENOMEM : EIO;
}

}  // namespace imgfs
