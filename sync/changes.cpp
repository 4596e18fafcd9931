#include "sync/changes.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include "fs/base/error.h"

namespace imgsync {
namespace {

constexpr std::array kFatal = {ENOSPC, EDQUOT,     EROFS,     EIO,     EUCLEAN,
                               EPROTO, ECONNRESET, ECANCELED, ENOTCONN};

}  // namespace

void Changes::record(Action action, Kind kind, const std::string& path) {
    // In the order of Action.
    static constexpr std::array kCounters = {&TargetCounts::created, &TargetCounts::changed,
                                             &TargetCounts::attributes, &TargetCounts::linked,
                                             &TargetCounts::deleted};
    ++(counts_.*kCounters[static_cast<size_t>(action)]);
    if (hello_.list_items) {
        writer_.put(FrameType::item, pack(Item{.action = action, .kind = kind, .path = path}));
    }
}

void Changes::problem(const std::exception& error) {
    if (std::ranges::find(kFatal, imgfs::errno_of(error)) != kFatal.end()) {
        throw;
    }
    problem(imgfs::message_of(error));
}

void Changes::problem(std::string line) {
    line.resize(std::min(line.size(), kLongestPath));
    writer_.put(FrameType::problem, pack_text(line));
}

void Changes::take(const SetResult& result) {
    counts_.not_permitted += result.not_permitted ? 1 : 0;
    for (const auto& line : result.problems) {
        problem(line);
    }
}

}  // namespace imgsync
