// Sizes, counts, times and names as people write and read them.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace imgfs {

/// "4.0 GiB", "812 B".
std::string format_size(uint64_t bytes);

/// "41,203".
std::string format_count(uint64_t count);

/// 2026-11-20T02:00:14Z (RFC 3339, UTC) for machines; "2026-11-20 02:00:14" in the local zone for
/// people.
std::string format_utc(std::chrono::system_clock::time_point time);
std::string format_local(std::chrono::system_clock::time_point time);

/// As format_local(), without the day if that is today.
std::string format_recent(std::chrono::system_clock::time_point time);

/// Bytes from "256M", "4k", "1G", "10485760" (powers of 1024, optional "iB" or "B"); fails with
/// EINVAL.
uint64_t parse_size(std::string_view text);

/// The name as a terminal may see it: unchanged if printable UTF-8, else in $'…' with escapes.
std::string printable(std::string_view name);

}  // namespace imgfs
