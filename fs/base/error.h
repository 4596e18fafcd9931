// How a fault is reported everywhere: std::system_error with an errno and one plain sentence.
#pragma once

#include <exception>
#include <string>
#include <system_error>

namespace imgfs {

/// Throws std::system_error. `code` is an errno value; corrupt input is EUCLEAN. `what` is the
/// whole line that a person will read, naming the file, the place and the way out; no errno text is
/// added.
[[noreturn]] void fail(int code, const std::string& what);

/// As fail(), with the present errno and its text after `what`: "sda1.gz: Permission denied".
[[noreturn]] void fail_errno(const std::string& what);

/// The line that was given to fail(), or what() of any other exception.
std::string message_of(const std::exception& error);

/// The errno an exception carries; ENOMEM for bad_alloc, EIO for anything else.
int errno_of(const std::exception& error);

}  // namespace imgfs
