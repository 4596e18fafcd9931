// imgfs seal and imgfs points: recovery points.
#include <boost/program_options.hpp>
#include <iostream>

#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/open_view.h"
#include "cli/terminal.h"
#include "fs/base/text.h"
#include "fs/mount/control.h"

namespace po = boost::program_options;

namespace imgfs {
namespace {

void seal_mounted(const MountRecord& mount, const NewPoint& point) {
    request(mount,
            nlohmann::json{{"verb", "seal"}, {"point", point.name}, {"note", point.note}}.dump(
                -1, ' ', false, nlohmann::json::error_handler_t::replace));
}

void seal_unmounted(OpenImage image, const ImageOptions& options, const NewPoint& point) {
    const auto opened =
        open_device(std::move(image), options, DeltaAccess::read_write, "imgfs seal");
    opened.device->seal(point);
}

nlohmann::json to_json(const RecoveryPoint& point) {
    if (point.name.empty()) {  // changes that were no point
        return {{"name", nullptr}, {"bytes", point.bytes}};
    }
    return {{"name", point.name},
            {"time", format_utc(point.time)},
            {"bytes", point.bytes},
            {"note", point.note}};
}

nlohmann::json to_json(const std::vector<RecoveryPoint>& points) {
    auto list = nlohmann::json::array();
    for (const auto& point : points) {
        list.push_back(to_json(point));
    }
    return list;
}

void print(const RecoveryPoint& point, size_t width) {
    std::cout << point.name << std::string(width - point.name.size() + 2, ' ')
              << format_local(point.time) << "  " << format_size(point.bytes)
              << (point.note.empty() ? "" : "  " + printable(point.note)) << "\n";
}

void print_aside(const std::vector<RecoveryPoint>& aside) {
    uint64_t bytes = 0;
    for (const auto& point : aside) {
        bytes += point.bytes;
    }
    if (!aside.empty()) {
        std::cout << "set aside by rollback, until the next prune: " << format_size(bytes) << "\n";
    }
}

void print(const std::vector<RecoveryPoint>& points, const DeltaState& state) {
    size_t width = 4;
    for (const auto& point : points) {
        width = std::max(width, point.name.size());
    }
    std::cout << "base" << std::string(width - 2, ' ') << "the image as saved\n";
    for (const auto& point : points) {
        print(point, width);
    }
    if (state.unsealed_bytes > 0) {
        std::cout << "now" << std::string(width - 1, ' ') << format_local(*state.last_commit)
                  << "  " << format_size(state.unsealed_bytes) << "  not a point yet\n";
    }
}

}  // namespace

void add_seal_options(OptionTable& table) {
    table.add_options()("note", po::value<std::string>()->value_name("TEXT"),
                        "why, for people; imgfs points shows it");
    add_delta_option(table);
    add_lock_option(table);
}

int seal_command(const Arguments& arguments) {
    catch_interrupts();
    const auto options = image_options(arguments);
    const NewPoint point{.name = arguments.operands[1], .note = arguments.value("note")};
    auto image = open_image(options);
    if (const auto mount = writing_mount(delta_folder(options, image))) {
        seal_mounted(*mount, point);
    } else {
        seal_unmounted(std::move(image), options, point);
    }
    return done;
}

void add_points_options(OptionTable& table) {
    add_delta_option(table);
    table.add_options()("json", "print one JSON document");
}

int points_command(const Arguments& arguments) {
    const auto opened =
        open_device(image_options(arguments), DeltaAccess::read_only, "imgfs points");
    const auto points = opened.delta->points();
    const auto state = opened.delta->state();
    const auto aside = opened.delta->set_aside();
    if (!arguments.has("json")) {
        print(points, state);
        print_aside(aside);
        return done;
    }
    print_json({{"delta", opened.delta_folder.string()},
                {"points", to_json(points)},
                {"unsealed_bytes", state.unsealed_bytes},
                {"set_aside", to_json(aside)}});
    return done;
}

}  // namespace imgfs
