// --json: one document on stdout.
#pragma once

#include <nlohmann/json.hpp>

namespace imgfs {

/// Adds "schema": 1 and prints. Bytes that are no UTF-8 become U+FFFD.
void print_json(nlohmann::json document);

}  // namespace imgfs
