// CutShort: bytes are missing, rather than damaged.
#pragma once

#include <cerrno>
#include <string>
#include <system_error>

namespace imgfs {

/// EUCLEAN, of a stream or a part that is missing or ends too early: what could be read before that
/// place is probably as it was.
class CutShort final : public std::system_error {
  public:
    explicit CutShort(const std::string& what)
        : std::system_error(EUCLEAN, std::generic_category(), what) {}
};

}  // namespace imgfs
