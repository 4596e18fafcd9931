// imgfs mount, umount, sync and status.
#include <unistd.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <cerrno>
#include <iostream>

#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/open_view.h"
#include "cli/terminal.h"
#include "fs/base/error.h"
#include "fs/base/text.h"
#include "fs/mount/control.h"
#include "fs/mount/daemon.h"
#include "fs/view/raw_view.h"

namespace po = boost::program_options;

namespace imgfs {
namespace {

bool is_no_permission(int code) {
    return code == EROFS || code == EACCES || code == EPERM;
}

bool is_read_only(const ImageOptions& image, const Arguments& arguments) {
    return arguments.has("read-only") || arguments.has("points") || image.rescue ||
           !image.at.empty();
}

/// Read/write where the delta's folder allows it; else read-only, said in one line, or refused if
/// --read-write was given.
OpenDevice open_for_mount(const ImageOptions& image, const Arguments& arguments,
                          const std::string& mountpoint) {
    if (is_read_only(image, arguments)) {
        return open_device(image, DeltaAccess::read_only, mountpoint);
    }
    try {
        return open_device(image, DeltaAccess::read_write, mountpoint);
    } catch (const std::exception& error) {
        if (arguments.has("read-write") || !is_no_permission(errno_of(error))) {
            throw;
        }
        say(message_of(error) + "; mounted read-only (--delta DIR keeps changes elsewhere)");
    }
    return open_device(image, DeltaAccess::read_only, mountpoint);
}

std::unique_ptr<View> make_view(OpenDevice& opened, const Arguments& arguments) {
    const bool raw = arguments.has("raw");
    const auto access = opened.device->read_only() ? ViewAccess::read_only : ViewAccess::read_write;
    if (!raw && !has_ext_superblock(*opened.device)) {
        fail(EMEDIUMTYPE, printable(opened.files.name) +
                              ": holds no ext2, ext3 or ext4 file system; --raw shows the "
                              "partition as one file");
    }
    if (arguments.has("points")) {
        return open_points(opened);
    }
    return raw ? make_raw_view(*opened.device, access) : make_ext_view(*opened.device, access);
}

nlohmann::json status_of(const OpenDevice& opened) {
    const auto state = opened.delta->state();
    nlohmann::json status = {{"dirty_bytes", opened.device->dirty_bytes()},
                             {"commits", state.commits},
                             {"delta_bytes", state.stored_bytes},
                             {"layers", state.layers},
                             {"points", opened.delta->points().size()},
                             {"free_bytes", nullptr},
                             {"full_since", nullptr},
                             {"writer", nullptr},
                             {"last_commit", nullptr}};
    std::error_code unknown;
    if (const auto space = std::filesystem::space(opened.delta_folder, unknown); !unknown) {
        status["free_bytes"] = space.available;
    }
    if (state.full_since) {
        status["full_since"] = format_utc(*state.full_since);
        status["full"] = describe_full(state);
    }
    if (const auto holder = lock_holder(opened.delta_folder)) {
        status["writer"] = holder->text();
    }
    if (const auto stopped = opened.delta->why_read_only(); !stopped.empty()) {
        status["failure"] = stopped;
    }
    if (state.last_commit) {
        status["last_commit"] = format_utc(*state.last_commit);
    }
    if (opened.index != nullptr && !opened.index->known_size()) {
        status["indexing"] = {{"packed_done", opened.index->packed_done()},
                              {"packed_bytes", opened.index->packed_size()},
                              {"plain_readable", opened.index->reached()},
                              {"failure", opened.index->failure()}};
    }
    return status;
}

nlohmann::json to_json(const MountRecord& record) {
    nlohmann::json entry = {{"mountpoint", record.mountpoint},
                            {"image", record.image},
                            {"delta", record.delta_folder},
                            {"log", record.log},
                            {"pid", record.pid},
                            {"read_only", record.read_only},
                            {"started", format_utc(record.started)},
                            {"alive", record.alive},
                            {"mounted", record.mounted},
                            {"error", record.error}};
    if (record.ended) {
        entry["ended"] = format_utc(*record.ended);
    }
    if (record.alive) {
        entry.update(request(record, "status"));
        entry["error"] = entry.value("failure", "");
        entry.erase("failure");
    }
    return entry;
}

void print_indexing(const nlohmann::json& indexing) {
    const auto done = indexing.value("packed_done", uint64_t{0});
    const auto all = std::max<uint64_t>(indexing.value("packed_bytes", uint64_t{0}), 1);
    const auto failure = indexing.value("failure", "");
    std::cout << "  index " << done * 100 / all << " % of " << format_size(all) << " packed; "
              << (failure.empty() ? "what is behind that waits, and so do changes"
                                  : "ended there, what is behind that can't be read: ")
              << printable(failure) << "\n";
}

std::string text_of(const nlohmann::json& status, const char* key, const std::string& otherwise) {
    const auto value = status.value(key, nlohmann::json());
    return value.is_string() ? value.get<std::string>() : otherwise;
}

void print_delta(const MountRecord& record, const nlohmann::json& status) {
    std::cout << "  delta " << printable(record.delta_folder) << ", "
              << format_size(status.value("delta_bytes", uint64_t{0})) << ", "
              << format_size(status.value("dirty_bytes", uint64_t{0}))
              << " not yet committed, last commit " << text_of(status, "last_commit", "never")
              << "\n";
    const auto free = status.value("free_bytes", nlohmann::json());
    std::cout << "  holds " << status.value("layers", uint64_t{0}) << " layers, "
              << status.value("points", uint64_t{0}) << " recovery points; "
              << (free.is_number() ? format_size(free.get<uint64_t>()) + " free there" : "") << "\n"
              << "  lock  " << text_of(status, "writer", "nobody writes it") << "\n";
    if (const auto full = text_of(status, "full", ""); !full.empty()) {
        std::cout << "  full  " << full << "\n";
    }
}

void print_mount(const MountRecord& record) {
    const auto status = record.alive ? request(record, "status") : nlohmann::json::object();
    const auto error = status.value("failure", record.error);
    std::cout << printable(record.mountpoint) << ": " << printable(record.image) << ", "
              << (record.read_only ? "read-only" : "read/write") << ", ";
    if (record.alive) {
        std::cout << "pid " << record.pid << ", since " << format_local(record.started) << "\n";
        print_delta(record, status);
        if (status.contains("indexing")) {
            print_indexing(status["indexing"]);
        }
    } else if (record.mounted) {
        std::cout << "dead; imgfs umount " << printable(record.mountpoint)
                  << " removes what is left\n";
    } else {
        std::cout << "ended" << (record.ended ? " " + format_local(*record.ended) : "") << "\n";
    }
    if (!error.empty()) {
        std::cout << "  error " << printable(error) << "\n";
    }
    std::cout << "  log   " << printable(record.log) << "\n";
}

/// Of options that don't go together.
void check_mount_options(const Arguments& arguments) {
    if (arguments.has("read-only") && arguments.has("read-write")) {
        throw UsageError("--read-only and --read-write exclude each other");
    }
    if (arguments.has("rescue") && arguments.has("read-write")) {
        throw UsageError("--rescue shows an image read-only");
    }
    if (arguments.has("at") && arguments.has("read-write")) {
        throw UsageError("a recovery point doesn't change: --at mounts read-only");
    }
    if (arguments.has("points") &&
        (arguments.has("at") || arguments.has("raw") || arguments.has("read-write"))) {
        throw UsageError(
            "--points shows the files of every point read-only: no --at, --raw or "
            "--read-write");
    }
    if ((arguments.has("suid") || arguments.has("dev")) && ::geteuid() != 0) {
        throw UsageError("--suid and --dev are for root only");
    }
}

}  // namespace

void add_mount_options(OptionTable& table) {
    add_image_options(table);
    add_lock_option(table);
    table.add_options()("read-only,r", "nothing can be changed")(
        "read-write,w", "fail if the changes can't be kept, instead of mounting read-only")(
        "points", "show all recovery points as folders, read-only: MOUNTPOINT/base and so on")(
        "raw", "show the partition as one file, MOUNTPOINT/partition")(
        "rescue", "show what can be read of a damaged image, read-only")(
        "allow-other", "other users may enter; permissions are then checked")(
        "suid", "set-uid bits work (root only)")("dev", "device nodes work (root only)")(
        "noexec", "no program there can be run")("foreground,f",
                                                 "stay in the foreground; Ctrl-C unmounts")(
        "log", po::value<std::string>()->value_name("FILE"),
        "where the daemon writes its messages");
}

int mount_command(const Arguments& arguments) {
    check_mount_options(arguments);
    auto image = image_options(arguments);
    // The daemon works in "/": what was named from here must still be found.
    image.image = std::filesystem::absolute(image.image).string();
    if (!image.delta.empty()) {
        image.delta = std::filesystem::absolute(image.delta).string();
    }
    MountJob job;
    job.mountpoint = std::filesystem::absolute(arguments.operands[1]).string();
    job.image = image.image;
    image.rescue = arguments.has("rescue");
    job.options.read_only = is_read_only(image, arguments);
    job.options.allow_other = arguments.has("allow-other");
    job.options.suid = arguments.has("suid");
    job.options.dev = arguments.has("dev");
    job.options.noexec = arguments.has("noexec");
    job.options.source = image.image;
    job.foreground = arguments.has("foreground");
    if (arguments.has("log")) {
        job.log = std::filesystem::absolute(arguments.value("log")).string();
    }
    job.open = [&](const std::function<void(const ServedView&)>& serve) {
        auto opened = open_for_mount(image, arguments, job.mountpoint);
        if (opened.index != nullptr && !opened.index->known_size()) {
            say("indexing " + format_size(opened.index->packed_size()) +
                " once; reading may wait, changes wait for its end; progress: imgfs status " +
                printable(job.mountpoint));
        }
        const auto view = make_view(opened, arguments);
        serve({.view = *view,
               .delta_folder = opened.delta_folder.string(),
               .status = [&opened] { return status_of(opened); },
               .seal =
                   [&](const std::string& point, const std::string& note) {
                       view->commit();
                       opened.device->seal({.name = point, .note = note});
                   }});
    };
    run_mount(job);
    return done;
}

void add_umount_options(OptionTable& table) {
    table.add_options()("all,a", "every mount of imgfs");
}

int umount_command(const Arguments& arguments) {
    if (arguments.has("all") != arguments.operands.empty()) {
        throw UsageError("name a mountpoint, or give --all");
    }
    if (!arguments.has("all")) {
        unmount(find_mount(arguments.operands.front()));
        return done;
    }
    int status = done;
    for (const auto& record : known_mounts()) {
        try {
            unmount(record);
        } catch (const std::exception& error) {
            say(message_of(error));
            status = errno_of(error) == EBUSY ? in_use : failed;
        }
    }
    return status;
}

int sync_command(const Arguments& arguments) {
    request(find_mount(arguments.operands.front()), "sync");
    return done;
}

void add_status_options(OptionTable& table) {
    table.add_options()("json", "print one JSON document");
}

int status_command(const Arguments& arguments) {
    const auto mounts = arguments.operands.empty()
                            ? known_mounts()
                            : std::vector{find_mount(arguments.operands.front())};
    nlohmann::json entries = nlohmann::json::array();
    for (const auto& record : mounts) {
        if (arguments.has("json")) {
            entries.push_back(to_json(record));
        } else {
            print_mount(record);
        }
    }
    if (arguments.has("json")) {
        print_json({{"mounts", entries}});
    } else if (mounts.empty()) {
        std::cout << "no image is mounted\n";
    }
    return done;
}

}  // namespace imgfs
