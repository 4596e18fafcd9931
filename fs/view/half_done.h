// HalfDone: the fault of a change that failed when some of it was done already.
#pragma once

#include <cerrno>
#include <system_error>

#include "fs/base/error.h"

namespace imgfs {

/// Nothing of the change may be committed. After any other exception of FileData, allocate_blocks()
/// or free_blocks() the file system is as consistent as before.
class HalfDone final : public std::system_error {
  public:
    explicit HalfDone(const std::exception& cause)
        : std::system_error(EIO, std::generic_category(), message_of(cause)) {}
};

/// For the part of a change that has no way back.
template <typename Work>
void without_way_back(Work work) {
    try {
        work();
    } catch (const std::exception& cause) {
        throw HalfDone(cause);
    }
}

}  // namespace imgfs
