#include "fs/store/keep_policy.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <ctime>

#include "fs/base/error.h"
#include "fs/base/text.h"

namespace imgfs {
namespace {

using Clock = std::chrono::system_clock;

std::tm local(Clock::time_point time) {
    const auto seconds = Clock::to_time_t(time);
    std::tm result{};
    ::localtime_r(&seconds, &result);
    return result;
}

std::string part_of(const std::tm& time, const char* format) {
    std::array<char, 64> text{};
    return {text.data(), std::strftime(text.data(), text.size(), format, &time)};
}

Clock::time_point before(Clock::time_point time, const CalendarSpan& span) {
    auto day = local(time);
    day.tm_year -= span.years;
    day.tm_mon -= span.months;
    day.tm_mday -= span.days;
    day.tm_hour -= span.hours;
    day.tm_isdst = -1;
    return Clock::from_time_t(std::mktime(&day)) +
           time.time_since_epoch() % std::chrono::seconds(1);
}

/// The newest of each period that has a point, for so many of them.
struct PeriodRule {
    const char* name;
    const char* period;  ///< for strftime: the same for all of one period
    unsigned left;
    std::string last = {};

    bool keeps(const RecoveryPoint& point, bool oldest) {
        const auto in = part_of(local(point.time), period);
        if (left == 0 || (in == last && !oldest)) {
            return false;
        }
        last = in;
        --left;
        return true;
    }
};

void add(std::string& reasons, const char* reason) {
    reasons += (reasons.empty() ? "" : ", ") + std::string(reason);
}

}  // namespace

CalendarSpan parse_calendar_span(std::string_view text) {
    CalendarSpan span;
    const auto* at = text.data();
    const auto* const end = at + text.size();
    bool good = at != end;
    while (good && at != end) {
        int number = 0;
        const auto [unit, error] = std::from_chars(at, end, number);
        good = error == std::errc() && number >= 0 && number <= 100'000 && unit != end;
        if (good) {
            const auto which = std::string_view("ymdh").find(*unit);
            good = which != std::string_view::npos;
            const std::array parts = {&span.years, &span.months, &span.days, &span.hours};
            *parts[good ? which : 0] = number;
            at = unit + 1;
        }
    }
    if (!good) {
        fail(EINVAL, "'" + printable(std::string(text)) +
                         "' is no time span; give years, months, days and hours: 1y6m, 14d, 36h");
    }
    return span;
}

std::vector<std::string> reasons_to_keep(const std::vector<RecoveryPoint>& points,
                                         const KeepPolicy& policy) {
    std::vector<std::string> reasons(points.size());
    if (points.empty()) {
        return reasons;
    }
    std::array rules = {PeriodRule{"hourly", "%Y-%m-%d %H %z", policy.hourly},
                        PeriodRule{"daily", "%Y-%m-%d", policy.daily},
                        PeriodRule{"weekly", "%G-%V", policy.weekly},
                        PeriodRule{"monthly", "%Y-%m", policy.monthly}};
    for (auto i = points.size(); i-- > 0;) {
        if (points.size() - i <= policy.last) {
            add(reasons[i], "last");
        }
        for (auto& rule : rules) {
            if (rule.keeps(points[i], i == 0)) {
                add(reasons[i], rule.name);
            }
        }
        if (policy.within && points[i].time > before(points.back().time, *policy.within)) {
            add(reasons[i], "within");
        }
    }
    if (reasons.back().empty()) {
        reasons.back() = "newest";
    }
    return reasons;
}

}  // namespace imgfs
