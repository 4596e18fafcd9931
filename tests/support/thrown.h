// What an action throws.
#pragma once

#include <exception>
#include <string>

#include "fs/base/error.h"

namespace imgfs {

/// The errno that `action` throws; 0 if it doesn't.
template <typename Action>
int error_of(Action action) {
    try {
        action();
    } catch (const std::exception& error) {
        return errno_of(error);
    }
    return 0;
}

/// The line that `action` throws; empty if it doesn't.
template <typename Action>
std::string line_of(Action action) {
    try {
        action();
    } catch (const std::exception& error) {
        return message_of(error);
    }
    return {};
}

}  // namespace imgfs
