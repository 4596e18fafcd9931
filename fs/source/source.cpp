#include "fs/source/source.h"

#include <cerrno>

#include "fs/base/error.h"

namespace imgfs {

void Source::read(uint64_t offset, ByteSpan out) const {
    const auto end = bound();
    if (offset > end || out.size() > end - offset) {  // in this order: no sum that can overflow
        fail(EINVAL, "read of " + std::to_string(out.size()) + " bytes at " +
                         std::to_string(offset) + " passes the end at " + std::to_string(end));
    }
    if (!out.empty()) {
        read_inside(offset, out);
    }
}

}  // namespace imgfs
