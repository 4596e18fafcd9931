// The contract that every Source keeps.
#pragma once

#include "fs/source/source.h"

namespace imgfs {

/// Whole read, 1,000 random ranges, reads up to, across and past the end and with a huge offset.
void expect_keeps_source_contract(const Source& source, ConstByteSpan expected);

}  // namespace imgfs
