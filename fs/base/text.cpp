#include "fs/base/text.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <ctime>

#include "fs/base/error.h"

namespace imgfs {
namespace {

std::string format_time(const char* format, const std::tm& parts) {
    std::array<char, 64> text{};
    return {text.data(), std::strftime(text.data(), text.size(), format, &parts)};
}

/// Length of the valid printable UTF-8 sequence at the start of `text`; 0 if there is none.
size_t printable_length(std::string_view text) {
    const auto at = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned first = at(0);
    if (first < 0x80) {
        return first >= 0x20 && first != 0x7f ? 1 : 0;
    }
    const size_t length = first >= 0xf0 && first < 0xf5   ? 4
                          : first >= 0xe0 && first < 0xf0 ? 3
                          : first >= 0xc2 && first < 0xe0 ? 2
                                                          : 0;
    if (length == 0 || text.size() < length) {
        return 0;
    }
    for (size_t i = 1; i < length; ++i) {
        if ((at(i) & 0xc0) != 0x80) {
            return 0;
        }
    }
    const bool c1_control = first == 0xc2 && at(1) < 0xa0;  // terminals obey these too
    const bool overlong = (first == 0xe0 && at(1) < 0xa0) || (first == 0xf0 && at(1) < 0x90);
    return c1_control || overlong ? 0 : length;
}

}  // namespace

std::string format_size(uint64_t bytes) {
    constexpr std::array kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < 1024) {
        return std::to_string(bytes) + " B";
    }
    size_t unit = 0;
    auto value = static_cast<double>(bytes);
    for (; value >= 1024 && unit + 1 < kUnits.size(); ++unit) {
        value /= 1024;
    }
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.1f %s", value, kUnits[unit]);
    return text.data();
}

std::string format_count(uint64_t count) {
    auto text = std::to_string(count);
    for (auto place = static_cast<ptrdiff_t>(text.size()) - 3; place > 0; place -= 3) {
        text.insert(static_cast<size_t>(place), ",");
    }
    return text;
}

std::string format_utc(std::chrono::system_clock::time_point time) {
    const auto seconds = std::chrono::system_clock::to_time_t(time);
    std::tm parts{};
    ::gmtime_r(&seconds, &parts);
    return format_time("%Y-%m-%dT%H:%M:%SZ", parts);
}

std::string format_local(std::chrono::system_clock::time_point time) {
    const auto seconds = std::chrono::system_clock::to_time_t(time);
    std::tm parts{};
    ::localtime_r(&seconds, &parts);
    return format_time("%Y-%m-%d %H:%M:%S", parts);
}

std::string format_recent(std::chrono::system_clock::time_point time) {
    constexpr size_t kDay = 11;  // "2026-11-20 "
    const auto then = format_local(time);
    const auto now = format_local(std::chrono::system_clock::now());
    return then.substr(0, kDay) == now.substr(0, kDay) ? then.substr(kDay) : then;
}

uint64_t parse_size(std::string_view text) {
    const auto bad = [&] {
        fail(EINVAL, "'" + printable(text) + "' is no size; write it as 256M, 4G or 1048576");
    };
    uint64_t value = 0;
    const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc()) {
        bad();
    }
    std::string_view unit(rest, static_cast<size_t>(text.data() + text.size() - rest));
    unsigned shift = 0;
    if (!unit.empty() && unit != "B") {
        const auto place = std::string_view("KMGTPE").find(static_cast<char>(unit[0] & ~0x20));
        const auto suffix = unit.substr(1);
        if (place == std::string_view::npos ||
            !(suffix.empty() || suffix == "iB" || suffix == "B")) {
            bad();
        }
        shift = 10 * static_cast<unsigned>(place + 1);
    }
    if (shift != 0 && value >> (64 - shift) != 0) {
        bad();
    }
    return value << shift;
}

std::string printable(std::string_view name) {
    std::string text;
    bool plain = true;
    for (size_t i = 0; i < name.size();) {
        if (const auto length = printable_length(name.substr(i)); length != 0) {
            if (name[i] == '\'' || name[i] == '\\') {
                text += '\\';
            }
            text += name.substr(i, length);
            i += length;
            continue;
        }
        plain = false;
        std::array<char, 8> escape{};
        std::snprintf(escape.data(), escape.size(), "\\x%02x", static_cast<unsigned char>(name[i]));
        text += escape.data();
        ++i;
    }
    return plain ? std::string(name) : "$'" + text + "'";
}

}  // namespace imgfs
