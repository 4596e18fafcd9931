// KeepPolicy: which recovery points a prune keeps, as restic's `forget` chooses snapshots.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fs/store/recovery_point.h"

namespace imgfs {

/// A time span of the calendar.
struct CalendarSpan {
    int years = 0;
    int months = 0;
    int days = 0;
    int hours = 0;
};

/// Of "2y5m7d3h", any of them left out; EINVAL, naming the text.
CalendarSpan parse_calendar_span(std::string_view text);

/// A point is kept if any rule keeps it. Hours, days, weeks (from Monday) and months are local.
struct KeepPolicy {
    unsigned last = 0;    ///< so many of the newest
    unsigned hourly = 0;  ///< the newest of each hour that has one, for so many such hours
    unsigned daily = 0;   ///< and so on; a rule that finds fewer keeps the oldest point as well
    unsigned weekly = 0;
    unsigned monthly = 0;
    std::optional<CalendarSpan> within;  ///< all of that time before the newest point

    bool empty() const {
        return last == 0 && hourly == 0 && daily == 0 && weekly == 0 && monthly == 0 && !within;
    }
};

/// Why each of the points, the oldest first, is kept: "last, daily"; empty if it isn't. The newest
/// is always kept: what was changed after it stands on it.
std::vector<std::string> reasons_to_keep(const std::vector<RecoveryPoint>& points,
                                         const KeepPolicy& policy);

}  // namespace imgfs
