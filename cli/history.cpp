// imgfs rollback and imgfs prune: recovery points that go.
#include <algorithm>
#include <boost/program_options.hpp>
#include <charconv>
#include <iostream>
#include <limits>

#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/open_view.h"
#include "cli/terminal.h"
#include "fs/base/error.h"
#include "fs/base/text.h"
#include "fs/store/keep_policy.h"
#include "fs/store/prune.h"

namespace po = boost::program_options;

namespace imgfs {
namespace {

using Points = std::vector<RecoveryPoint>;

Points without(Points points, const Points& others) {
    std::erase_if(points, [&](const RecoveryPoint& point) {
        return std::ranges::any_of(others, [&](const RecoveryPoint& other) {
            return other.name == point.name && other.time == point.time;
        });
    });
    return points;
}

uint64_t bytes_of(const Points& points) {
    uint64_t bytes = 0;
    for (const auto& point : points) {
        bytes += point.bytes;
    }
    return bytes;
}

void say_each(const std::string& what, const Points& points) {
    for (const auto& point : points) {
        std::cout << what << " point " << point.name << ", made " << format_local(point.time)
                  << ", " << format_size(point.bytes) << "\n";
    }
}

void say_unsealed(const std::string& what, uint64_t bytes) {
    if (bytes > 0) {
        std::cout << what << " changes after the last point, " << format_size(bytes) << "\n";
    }
}

unsigned count_of(const Arguments& arguments, const std::string& option) {
    const auto text = arguments.value(option, "0");
    unsigned count = 0;
    const auto* const end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, count);
    if (text == "unlimited" || (error == std::errc::result_out_of_range && rest == end)) {
        return std::numeric_limits<unsigned>::max();
    }
    if (error != std::errc() || rest != end) {
        throw UsageError("--" + option + ": '" + printable(text) +
                         "' is no number; give one, or unlimited");
    }
    return count;
}

KeepPolicy policy_of(const Arguments& arguments) {
    KeepPolicy policy{.last = count_of(arguments, "keep-last"),
                      .hourly = count_of(arguments, "keep-hourly"),
                      .daily = count_of(arguments, "keep-daily"),
                      .weekly = count_of(arguments, "keep-weekly"),
                      .monthly = count_of(arguments, "keep-monthly")};
    if (arguments.has("keep-within")) {
        try {
            policy.within = parse_calendar_span(arguments.value("keep-within"));
        } catch (const std::system_error& error) {
            throw UsageError("--keep-within: " + message_of(error));
        }
    }
    if (policy.empty()) {
        throw UsageError("no --keep rule: nothing would be kept but the newest point");
    }
    return policy;
}

nlohmann::json to_json(const RecoveryPoint& point, const std::string& reasons) {
    return {{"name", point.name},
            {"time", format_utc(point.time)},
            {"bytes", point.bytes},
            {"kept", !reasons.empty()},
            {"reasons", reasons}};
}

void print(const RecoveryPoint& point, const std::string& reasons) {
    std::cout << (reasons.empty() ? "remove  " : "keep    ") << format_local(point.time) << "  "
              << point.name << (reasons.empty() ? "" : "  (" + reasons + ")") << "\n";
}

uint64_t space_of(const DeltaStore& store) {
    return store.state().stored_bytes + bytes_of(store.set_aside());
}

}  // namespace

void add_rollback_options(OptionTable& table) {
    table.add_options()("undo", "put back what the last rollback set aside");
    add_delta_option(table);
    add_lock_option(table);
}

int rollback_command(const Arguments& arguments) {
    catch_interrupts();
    if (arguments.has("undo") != (arguments.operands.size() == 1)) {
        throw UsageError("name a recovery point to go back to, or give --undo");
    }
    const auto opened =
        open_device(image_options(arguments), DeltaAccess::read_write, "imgfs rollback");
    auto& store = *opened.delta;
    const auto points = store.points();
    const auto aside = store.set_aside();
    if (arguments.has("undo")) {
        store.undo_rollback();
    } else {
        store.roll_back(arguments.operands[1]);
    }
    say_each("set aside:", without(points, store.points()));
    say_unsealed("set aside:", store.state().unsealed_bytes);
    say_each("put back:", without(store.points(), points));
    if (arguments.has("undo") && aside.back().name.empty()) {
        say_unsealed("put back:", aside.back().bytes);
    }
    std::cout << "until the next prune, this puts things back: imgfs rollback "
              << printable(arguments.operands[0]) << " --undo\n";
    return done;
}

void add_prune_options(OptionTable& table) {
    const auto add = [&](const char* option, const char* value, const char* text) {
        table.add_options()(option, po::value<std::string>()->value_name(value), text);
    };
    add("keep-last", "N", "keep the N newest points; N may be unlimited");
    add("keep-hourly", "N", "keep the newest of each of the last N hours that have a point");
    add("keep-daily", "N", "the same for days");
    add("keep-weekly", "N", "the same for weeks, which begin on Monday");
    add("keep-monthly", "N", "the same for months");
    add("keep-within", "SPAN", "keep all of that time before the newest point: 1y6m, 14d, 36h");
    table.add_options()("dry-run,n", "only say what would be kept and removed");
    add_delta_option(table);
    add_lock_option(table);
    table.add_options()("json", "print one JSON document");
}

int prune_command(const Arguments& arguments) {
    catch_interrupts();
    const auto policy = policy_of(arguments);
    const bool dry = arguments.has("dry-run");
    const auto opened =
        open_device(image_options(arguments),
                    dry ? DeltaAccess::read_only : DeltaAccess::read_write, "imgfs prune");
    auto& store = *opened.delta;
    const auto points = store.points();
    const auto reasons = reasons_to_keep(points, policy);
    const auto removed = static_cast<size_t>(std::ranges::count(reasons, std::string()));
    const auto aside = store.set_aside().size();
    const auto before = space_of(store);
    if (!dry) {
        std::vector<bool> keeps;
        std::ranges::transform(reasons, std::back_inserter(keeps),
                               [](const std::string& reason) { return !reason.empty(); });
        prune(store, keeps, terminal_progress("merging"));
    }
    const auto freed = before - std::min(before, space_of(store));
    auto list = nlohmann::json::array();
    for (size_t i = 0; i < points.size(); ++i) {
        list.push_back(to_json(points[i], reasons[i]));
        if (!arguments.has("json")) {
            print(points[i], reasons[i]);
        }
    }
    if (arguments.has("json")) {
        print_json({{"points", list},
                    {"removed", removed},
                    {"set_aside", aside},
                    {"freed_bytes", freed},
                    {"dry_run", dry}});
    } else {
        std::cout << format_count(removed) << (removed == 1 ? " point" : " points")
                  << (aside == 0 ? "" : " and what was set aside")
                  << (dry ? " would be removed\n" : " removed, " + format_size(freed) + " freed\n");
    }
    return done;
}

}  // namespace imgfs
