#include "fs/mount/mount_record.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
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

// Fine enough to tell which of two mounts began first.
int64_t microseconds(Clock::time_point time) {
    return std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count();
}

Clock::time_point from_microseconds(int64_t count) {
    return Clock::time_point(std::chrono::microseconds(count));
}

/// What the names of everything that belongs to the mountpoint begin with.
std::string name_for(const std::string& mountpoint) {
    const auto hash = xxh3_64(bytes_of(mountpoint));
    return hex(std::as_bytes(std::span(&hash, 1)));
}

fs::path path_of(const std::string& mountpoint, pid_t pid, const std::string& suffix) {
    return runtime_folder() / (name_for(mountpoint) + "-" + std::to_string(pid) + suffix);
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
                           .started = from_microseconds(document.at("started_us")),
                           .error = document.at("error")};
        if (document.contains("ended_us")) {
            record.ended = from_microseconds(document.at("ended_us"));
        }
        return record;
    } catch (const std::exception&) {
        return std::nullopt;
    }
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

fs::path socket_path(const MountRecord& record) {
    return path_of(record.mountpoint, record.pid, ".sock");
}

fs::path default_log(const std::string& mountpoint) {
    return runtime_folder() / (name_for(mountpoint) + ".log");
}

void write_record(const MountRecord& record) {
    nlohmann::json document = {{"mountpoint", record.mountpoint},
                               {"image", record.image},
                               {"delta_folder", record.delta_folder},
                               {"log", record.log},
                               {"pid", record.pid},
                               {"read_only", record.read_only},
                               {"started_us", microseconds(record.started)},
                               {"error", record.error}};
    if (record.ended) {
        document["ended_us"] = microseconds(*record.ended);
    }
    const auto text = document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    replace_file(path_of(record.mountpoint, record.pid, ".json"), bytes_of(text), 0600);
}

std::optional<MountRecord> read_record(const std::string& mountpoint, pid_t pid) {
    return read_record(path_of(mountpoint, pid, ".json"));
}

std::vector<MountRecord> all_records() {
    std::vector<MountRecord> result;
    for (const auto& file : fs::directory_iterator(runtime_folder())) {
        if (file.path().extension() != ".json") {
            continue;
        }
        if (auto record = read_record(file.path())) {
            result.push_back(std::move(*record));
        }
    }
    return result;
}

void remove_record(const MountRecord& record) {
    std::error_code ignored;
    fs::remove(path_of(record.mountpoint, record.pid, ".json"), ignored);
    fs::remove(socket_path(record), ignored);
    const auto log = default_log(record.mountpoint);
    const bool is_shared = std::ranges::any_of(all_records(), [&](const MountRecord& other) {
        return other.mountpoint == record.mountpoint;
    });
    if (!is_shared && fs::file_size(log, ignored) == 0) {
        fs::remove(log, ignored);
    }
}

}  // namespace imgfs
