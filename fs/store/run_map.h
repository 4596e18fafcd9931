// RunMap: what each block of a device maps to, kept as runs of neighbouring blocks.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <map>
#include <optional>
#include <utility>

namespace imgfs {

/// Value::tail(n) is what is left of a run's value when its first n blocks are cut off.
template <typename Value>
class RunMap {
  public:
    /// The blocks [first, first + count) map to `value` now, whatever they mapped to before.
    void assign(uint64_t first, uint64_t count, Value value) {
        carve(first, first + count);
        runs_.emplace(first, Run{count, std::move(value)});
    }

    /// The blocks [first, end) map to nothing now.
    void carve(uint64_t first, uint64_t end) {
        auto next = runs_.lower_bound(first);
        if (next != runs_.begin()) {
            const auto before = std::prev(next);
            const auto before_end = before->first + before->second.count;
            if (before_end > first) {
                keep_behind(*before, end);
                before->second.count = first - before->first;
            }
        }
        while (next != runs_.end() && next->first < end) {
            keep_behind(*next, end);
            next = runs_.erase(next);
        }
    }

    /// Calls visit(first, count, run) in order for all of [first, end), without gaps: `run` is the
    /// value from `first` on, or nothing (nullptr).
    template <typename Visit>
    void visit(uint64_t first, uint64_t end, Visit visit) const {
        auto next = runs_.upper_bound(first);
        if (next != runs_.begin()) {
            next = std::prev(next);
        }
        for (; next != runs_.end() && next->first < end; ++next) {
            const auto run_end = std::min(next->first + next->second.count, end);
            if (run_end <= first) {
                continue;
            }
            if (first < next->first) {
                visit(first, next->first - first, static_cast<const Value*>(nullptr));
                first = next->first;
            }
            const Value value = next->second.value.tail(first - next->first);
            visit(first, run_end - first, &value);
            first = run_end;
        }
        if (first < end) {
            visit(first, end - first, static_cast<const Value*>(nullptr));
        }
    }

    /// The first block at or behind `first` that maps to anything.
    std::optional<uint64_t> next(uint64_t first) const {
        const auto behind = runs_.upper_bound(first);
        if (behind != runs_.begin()) {
            const auto& before = *std::prev(behind);
            if (before.first + before.second.count > first) {
                return first;
            }
        }
        return behind == runs_.end() ? std::nullopt : std::optional(behind->first);
    }

    uint64_t size() const { return runs_.size(); }
    void clear() { runs_.clear(); }

  private:
    struct Run {
        uint64_t count;
        Value value;
    };

    void keep_behind(const std::pair<const uint64_t, Run>& run, uint64_t end) {
        const auto run_end = run.first + run.second.count;
        if (run_end > end) {
            runs_.emplace(end, Run{run_end - end, run.second.value.tail(end - run.first)});
        }
    }

    std::map<uint64_t, Run> runs_;
};

}  // namespace imgfs
