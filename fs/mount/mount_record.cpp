#include "fs/mount/mount_record.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "fs/base/checksum.h"
#include "fs/base/error.h"
#include "fs/base/fd.h"
#include "fs/base/text.h"

namespace imgfs {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::system_clock;

constexpr uint64_t kLargestRecord = 64 * kKiB;

fs::path wanted_folder() {
    if (::geteuid() == 0) {
        return "/run/imgfs";
    }
    const char* session = std::getenv("XDG_RUNTIME_DIR");
    if (session != nullptr && session[0] == '/' && ::access(session, W_OK | X_OK) == 0) {
        return fs::path(session) / "imgfs";
    }
    return "/tmp/imgfs-" + std::to_string(::geteuid());
}

int64_t seconds(Clock::time_point time) {
    return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

Clock::time_point from_seconds(int64_t count) {
    return Clock::time_point(std::chrono::seconds(count));
}

}  // namespace

fs::path runtime_folder() {
    auto folder = wanted_folder();
    if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
        fail_errno(folder.string());
    }
    // In /tmp somebody else may have put something of that name.
    struct stat status {};
    if (::lstat(folder.c_str(), &status) != 0) {
        fail_errno(folder.string());
    }
    if (!S_ISDIR(status.st_mode) || status.st_uid != ::geteuid() || (status.st_mode & 077) != 0) {
        fail(EPERM, folder.string() + ": must be a directory that only you can enter; remove it");
    }
    return folder;
}

RecordPaths record_paths(const std::string& mountpoint) {
    const auto hash = xxh3_64(bytes_of(mountpoint));
    const auto name = hex(std::as_bytes(std::span(&hash, 1)));
    const auto folder = runtime_folder();
    return {folder / (name + ".json"), folder / (name + ".sock"), folder / (name + ".log")};
}

void write_record(const MountRecord& record) {
    nlohmann::json document = {{"mountpoint", record.mountpoint},
                               {"image", record.image},
                               {"delta_folder", record.delta_folder},
                               {"log", record.log},
                               {"pid", record.pid},
                               {"read_only", record.read_only},
                               {"started", seconds(record.started)},
                               {"error", record.error}};
    if (record.ended) {
        document["ended"] = seconds(*record.ended);
    }
    const auto text = document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    replace_file(record_paths(record.mountpoint).record, bytes_of(text), 0600);
}

std::optional<MountRecord> read_record(const fs::path& path) {
    std::error_code problem;
    if (!fs::exists(path, problem)) {
        return std::nullopt;
    }
    try {
        const auto document = nlohmann::json::parse(text_of(read_file(path, kLargestRecord)));
        MountRecord record{.mountpoint = document.at("mountpoint"),
                           .image = document.at("image"),
                           .delta_folder = document.at("delta_folder"),
                           .log = document.at("log"),
                           .pid = document.at("pid"),
                           .read_only = document.at("read_only"),
                           .started = from_seconds(document.at("started")),
                           .error = document.at("error")};
        if (document.contains("ended")) {
            record.ended = from_seconds(document.at("ended"));
        }
        return record;
    } catch (const std::exception&) {
        return std::nullopt;
    }
}

void remove_record(const std::string& mountpoint) {
    const auto paths = record_paths(mountpoint);
    std::error_code ignored;
    fs::remove(paths.record, ignored);
    fs::remove(paths.socket, ignored);
    if (fs::file_size(paths.log, ignored) == 0) {
        fs::remove(paths.log, ignored);
    }
}

}  // namespace imgfs
