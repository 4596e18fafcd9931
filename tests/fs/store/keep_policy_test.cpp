#include "fs/store/keep_policy.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <ctime>

#include "tests/support/thrown.h"

namespace imgfs {
namespace {

RecoveryPoint point_at(const std::string& time) {
    std::tm local{};
    ::strptime(time.c_str(), "%Y-%m-%d %H:%M", &local);
    local.tm_isdst = -1;
    return {.name = time, .time = std::chrono::system_clock::from_time_t(std::mktime(&local))};
}

std::string kept(const std::vector<std::string>& times, const KeepPolicy& policy) {
    std::vector<RecoveryPoint> points;
    for (const auto& time : times) {
        points.push_back(point_at(time));
    }
    std::string text;
    const auto reasons = reasons_to_keep(points, policy);
    for (size_t i = 0; i < points.size(); ++i) {
        if (!reasons[i].empty()) {
            text += points[i].name + ": " + reasons[i] + "\n";
        }
    }
    return text;
}

const std::vector<std::string> kTwoWeeks = {
    "2026-11-01 02:00", "2026-11-02 02:00", "2026-11-03 02:00", "2026-11-04 02:00",
    "2026-11-05 02:00", "2026-11-06 02:00", "2026-11-07 02:00", "2026-11-08 02:00",
    "2026-11-09 02:00", "2026-11-10 02:00", "2026-11-11 02:00", "2026-11-11 14:00"};

TEST(KeepPolicyTest, LastKeepsTheNewest) {
    EXPECT_EQ(kept(kTwoWeeks, {.last = 2}), "2026-11-11 02:00: last\n2026-11-11 14:00: last\n");
}

TEST(KeepPolicyTest, APeriodKeepsItsNewestPoint) {
    EXPECT_EQ(kept(kTwoWeeks, {.daily = 3}),
              "2026-11-09 02:00: daily\n2026-11-10 02:00: daily\n2026-11-11 14:00: daily\n");
    EXPECT_EQ(kept({"2026-11-11 14:10", "2026-11-11 14:50", "2026-11-11 15:01"}, {.hourly = 1}),
              "2026-11-11 15:01: hourly\n");
}

TEST(KeepPolicyTest, WeeksBeginOnMonday) {
    EXPECT_EQ(kept(kTwoWeeks, {.weekly = 2}),
              "2026-11-08 02:00: weekly\n2026-11-11 14:00: weekly\n");
}

TEST(KeepPolicyTest, PeriodsWithoutAPointDontCount) {
    EXPECT_EQ(kept({"2025-01-05 02:00", "2025-01-06 02:00", "2025-06-30 02:00", "2026-11-11 02:00"},
                   {.monthly = 3}),
              "2025-01-06 02:00: monthly\n2025-06-30 02:00: monthly\n2026-11-11 02:00: monthly\n");
}

// So that a new rule has something from long ago, until it finds all that it wants.
TEST(KeepPolicyTest, ARuleThatFindsTooFewKeepsTheOldest) {
    EXPECT_EQ(kept({"2026-11-10 02:00", "2026-11-10 03:00", "2026-11-11 02:00"}, {.daily = 5}),
              "2026-11-10 02:00: daily\n2026-11-10 03:00: daily\n2026-11-11 02:00: daily\n");
}

TEST(KeepPolicyTest, RulesAddUp) {
    EXPECT_EQ(kept(kTwoWeeks, {.last = 1, .daily = 2, .weekly = 2}),
              "2026-11-08 02:00: weekly\n2026-11-10 02:00: daily\n"
              "2026-11-11 14:00: last, daily, weekly\n");
}

TEST(KeepPolicyTest, WithinIsCountedFromTheNewestPoint) {
    EXPECT_EQ(kept(kTwoWeeks, {.within = CalendarSpan{.days = 1, .hours = 12}}),
              "2026-11-11 02:00: within\n2026-11-11 14:00: within\n");
    EXPECT_EQ(kept({"2026-09-30 02:00", "2026-10-12 02:00", "2026-11-11 02:00"},
                   {.within = CalendarSpan{.months = 1}}),
              "2026-10-12 02:00: within\n2026-11-11 02:00: within\n");
}

TEST(KeepPolicyTest, TheNewestStaysWhateverTheRulesSay) {
    EXPECT_EQ(kept(kTwoWeeks, {}), "2026-11-11 14:00: newest\n");
    EXPECT_EQ(kept({}, {.last = 1}), "");
}

TEST(KeepPolicyTest, SpansAreWrittenAsForRestic) {
    const auto span = parse_calendar_span("2y5m7d3h");
    EXPECT_EQ(span.years, 2);
    EXPECT_EQ(span.months, 5);
    EXPECT_EQ(span.days, 7);
    EXPECT_EQ(span.hours, 3);
    EXPECT_EQ(parse_calendar_span("14d").days, 14);
    for (const auto* wrong : {"", "5", "d", "5x", "-5d", "5d ", "99999999999d", "1d2"}) {
        EXPECT_EQ(error_of([&] { parse_calendar_span(wrong); }), EINVAL) << wrong;
    }
}

}  // namespace
}  // namespace imgfs
