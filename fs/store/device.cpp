#include "fs/store/device.h"

#include <cerrno>

#include "fs/base/error.h"

namespace imgfs {
namespace {

void check_range(const Device& device, uint64_t offset, uint64_t length) {
    if (offset > device.size() || length > device.size() - offset) {
        fail(EINVAL, "change of " + std::to_string(length) + " bytes at " + std::to_string(offset) +
                         " passes the end at " + std::to_string(device.size()));
    }
    if (device.read_only()) {
        fail(EROFS, device.why_read_only());
    }
}

}  // namespace

void Device::write(uint64_t offset, ConstByteSpan bytes) {
    check_range(*this, offset, bytes.size());
    if (!bytes.empty()) {
        write_inside(offset, bytes);
    }
}

void Device::discard(uint64_t offset, uint64_t length) {
    check_range(*this, offset, length);
    if (length != 0) {
        discard_inside(offset, length);
    }
}

}  // namespace imgfs
