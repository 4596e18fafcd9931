// What is fuzzed: one row for each parser that takes foreign bytes.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "fs/base/bytes.h"

namespace imgfs {

struct FuzzTarget {
    std::string_view name;
    /// A test failure unless the parser of that name does with these bytes what its contract says
    /// of all bytes.
    void (*run)(std::string_view name, ConstByteSpan input);
    /// Good inputs to begin with, small.
    std::vector<Bytes> (*seeds)(std::string_view name);
};

std::span<const FuzzTarget> fuzz_targets();

/// The row of that name, which must be in the table.
const FuzzTarget& fuzz_target(std::string_view name);

}  // namespace imgfs
