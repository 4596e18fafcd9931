// Random values that nobody guesses or meets twice.
#pragma once

#include <sys/random.h>

#include "fs/base/error.h"

namespace imgfs {

template <typename Value>
Value random_value() {
    Value value{};
    if (::getrandom(&value, sizeof value, 0) != sizeof value) {
        fail_errno("random numbers");
    }
    return value;
}

}  // namespace imgfs
