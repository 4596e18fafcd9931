// imgfs restore: the image with its changes, onto a disk or into a file.
#include "fs/transfer/restore.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <fstream>
#include <iostream>

#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/open_view.h"
#include "cli/terminal.h"
#include "fs/base/error.h"
#include "fs/base/text.h"

namespace imgfs {
namespace {

/// One line of a file in /sys about the disk that the device is or lies on.
std::string disk_property(const std::filesystem::path& device, const char* property) {
    struct stat status {};
    if (::stat(device.c_str(), &status) != 0) {
        return {};
    }
    const auto node =
        std::filesystem::path("/sys/dev/block") /
        (std::to_string(major(status.st_rdev)) + ":" + std::to_string(minor(status.st_rdev)));
    for (const auto* disk : {"device", "../device"}) {  // of a disk, of a partition
        std::ifstream file(node / disk / property);
        std::string line;
        if (std::getline(file, line) && !line.empty()) {
            return printable(line.substr(0, line.find_last_not_of(' ') + 1));
        }
    }
    return "unknown";
}

bool confirm_device(const RestoreTarget& target) {
    const auto name = target.path.string();
    std::cerr << "everything on " << name << " will be overwritten:\n"
              << "  model  " << disk_property(target.path, "model") << "\n"
              << "  serial " << disk_property(target.path, "serial") << "\n"
              << "  size   " << format_size(target.size) << "\n";
    return ask("type its name (" + name + ") to go on: ") == name;
}

/// Nothing is overwritten without being asked for: by options, or by a person at a terminal.
void confirm(const RestoreTarget& target, const Arguments& arguments) {
    const auto name = printable(target.path.string());
    if (target.kind == TargetKind::existing_file && !arguments.has("overwrite")) {
        if (!can_ask()) {
            throw UsageError(name + " exists; --overwrite replaces it");
        }
        if (ask(name + " exists; replace it? [y/N] ") != "y") {
            throw UsageError(name + " was left as it is");
        }
    }
    if (target.kind == TargetKind::block_device && !arguments.has("yes")) {
        if (!can_ask()) {
            throw UsageError(name +
                             " would be overwritten, and nobody is here to ask; --yes says so");
        }
        if (!confirm_device(target)) {
            throw UsageError(name + " was left as it is");
        }
    }
}

/// Before anything is overwritten: an image that can be read quickly, and one whose checksums
/// aren't checked while it is read.
bool is_checked_first(const OpenDevice& opened) {
    return opened.info.checksum != "none" && (opened.codec == "none" || !opened.info.checked_alone);
}

}  // namespace

void add_restore_options(OptionTable& table) {
    add_image_options(table);
    table.add_options()("verify", "read back what was written and compare")(
        "overwrite", "replace an existing file")("yes", "overwrite a block device without asking")(
        "json", "print one JSON document");
}

int restore_command(const Arguments& arguments) {
    catch_interrupts();
    const std::filesystem::path path = arguments.operands[1];
    auto options = image_options(arguments);
    options.check_strips = CheckStrips::always;
    const auto opened = open_device(options, DeltaAccess::read_only, "imgfs restore");
    const auto target = inspect_target(path, opened.device->size());
    refuse_own_files(opened, target.path);
    confirm(target, arguments);
    if (is_checked_first(opened)) {
        check_image(options, "nothing is restored");
    }
    const auto result = restore(*opened.device, target, terminal_progress("restoring"));
    if (arguments.has("verify")) {
        compare_restored(*opened.device, path, terminal_progress("reading back"));
    }
    if (arguments.has("json")) {
        print_json({{"target", path.string()},
                    {"bytes", opened.device->size()},
                    {"written_bytes", result.written},
                    {"zero_bytes", result.zeros},
                    {"verified", arguments.has("verify")}});
    } else {
        std::cout << printable(path.string()) << ": " << format_size(opened.device->size())
                  << " restored, " << format_size(result.written) << " of them written"
                  << (arguments.has("verify") ? ", read back and equal" : "") << "\n";
    }
    return done;
}

}  // namespace imgfs
