#include "fs/store/recovery_point.h"

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <optional>

#include "fs/base/error.h"
#include "fs/base/text.h"

namespace imgfs {
namespace {

constexpr std::string_view kBase = "base";
constexpr int64_t kSecond = 1'000'000'000;  // ns

/// When the day behind a local date begins, in seconds since 1970; nothing if it is no date.
std::optional<int64_t> next_day(const std::string& date) {
    std::tm day{};
    const auto* const end = ::strptime(date.c_str(), "%Y-%m-%d", &day);
    if (end == nullptr || *end != '\0') {
        return std::nullopt;
    }
    ++day.tm_mday;
    day.tm_isdst = -1;
    return std::mktime(&day);
}

}  // namespace

int64_t now_ns() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

std::chrono::system_clock::time_point time_of(int64_t since_1970_ns) {
    return std::chrono::system_clock::time_point(
        std::chrono::duration_cast<std::chrono::system_clock::duration>(
            std::chrono::nanoseconds(since_1970_ns)));
}

size_t layers_at(const LayerList& list, const std::string& at, const std::string& folder) {
    if (at == kBase) {
        return 0;
    }
    const auto& layers = list.layers;
    const auto named = std::ranges::find_if(layers, [&](const LayerList::Entry& layer) {
        return layer.seal && layer.seal->point == at;
    });
    if (named != layers.end()) {
        return static_cast<size_t>(named - layers.begin()) + 1;
    }
    if (const auto day = next_day(at)) {
        for (auto count = layers.size(); count > 0; --count) {
            const auto& seal = layers[count - 1].seal;
            if (seal && seal->time_ns / kSecond < *day) {
                return count;
            }
        }
    }
    fail(ENOENT, folder + ": no recovery point " + at +
                     "; `imgfs points IMAGE` lists them, and `base` is the image as saved");
}

void check_new_point(const LayerList& list, const NewPoint& point) {
    if (!is_point_name(point.name)) {
        fail(EINVAL, "'" + printable(point.name) +
                         "' can't name a recovery point: 1 to 64 letters, digits, '.', '_', '-', "
                         "not '-' first, and not base");
    }
    if (point.note.size() > kLongestNote) {
        fail(EINVAL, "a note has " + format_count(kLongestNote) + " bytes at most");
    }
    for (const auto& layer : list.layers) {
        if (layer.seal && layer.seal->point == point.name) {
            fail(EEXIST, "there is a recovery point " + point.name + " already; give another name");
        }
    }
}

}  // namespace imgfs
