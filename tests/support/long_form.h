// How much a test does: little in the test suite, much for scripts/torture.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>

namespace imgfs {

/// The number in the environment variable, or `short_form` where there is none.
inline uint64_t long_form(const char* variable, uint64_t short_form) {
    const char* const value = std::getenv(variable);
    return value == nullptr ? short_form : std::stoull(value);
}

}  // namespace imgfs
