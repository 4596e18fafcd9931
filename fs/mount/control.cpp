#include "fs/mount/control.h"

#include <algorithm>
#include <cerrno>
#include <thread>
#include <tuple>

#include "fs/base/error.h"
#include "fs/base/text.h"
#include "fs/mount/control_socket.h"
#include "fs/mount/mount_record.h"
#include "fs/mount/mountpoint.h"

namespace imgfs {
namespace {

bool daemon_answers(const MountRecord& record) {
    try {
        connect_to(socket_path(record).string());
        return true;
    } catch (const std::system_error&) {
        return false;
    }
}

bool some_mount_is_at(const std::string& mountpoint) {
    const auto mount = mounted_at(mountpoint);
    return mount && mount->type == "fuse.imgfs";
}

/// Is what is mounted there this one, and not one that was made there after its end?
bool mount_is_there(const MountRecord& record) {
    return some_mount_is_at(record.mountpoint) &&
           std::ranges::none_of(all_records(), [&](const MountRecord& other) {
               return other.mountpoint == record.mountpoint && other.started > record.started;
           });
}

void complete(MountRecord& record) {
    record.alive = daemon_answers(record);
    record.mounted = mount_is_there(record);
    if (!record.alive && !record.ended && record.error.empty()) {
        record.error = "the daemon (pid " + std::to_string(record.pid) + ") died";
    }
}

std::string log_hint(const MountRecord& record) {
    return record.log.empty() ? "" : "; see " + record.log;
}

/// The daemon's answer; throws what it reports.
nlohmann::json receive_answer(const Fd& connection, const MountRecord& record) {
    const auto line = receive_line(connection.get());
    if (!line) {
        fail(ECONNRESET, printable(record.mountpoint) + ": the daemon ended" + log_hint(record));
    }
    auto answer = nlohmann::json::parse(*line, nullptr, false);
    if (!answer.is_object()) {
        fail(EPROTO, printable(record.mountpoint) + ": the daemon can't be understood");
    }
    if (answer.contains("error")) {
        fail(answer.value("errno", EIO), answer.value("error", "failed"));
    }
    return answer;
}

Fd send_request(const MountRecord& record, const std::string& verb) {
    try {
        auto connection = connect_to(socket_path(record).string());
        send_line(connection.get(), verb);
        return connection;
    } catch (const std::system_error& error) {
        fail(errno_of(error), printable(record.mountpoint) + ": its daemon is dead; imgfs umount " +
                                  printable(record.mountpoint) + " removes what is left");
    }
}

void remove_dead(const MountRecord& record) {
    if (mount_is_there(record)) {
        unmount_path(record.mountpoint, Unmount::lazily);
    }
    remove_record(record);
    if (record.ended && !record.error.empty()) {
        fail(EIO, record.error + log_hint(record));  // nobody has been told yet
    }
}

/// After the daemon's end: throws if that was a bad one, and forgets it.
void check_end(const MountRecord& record) {
    const auto last = read_record(record.mountpoint, record.pid);
    if (!last) {
        return;
    }
    remove_record(record);
    if (!last->error.empty()) {
        fail(EIO, last->error + log_hint(record));
    }
    if (!last->ended) {
        fail(EIO, printable(record.mountpoint) + ": the daemon died before its last commit" +
                      log_hint(record));
    }
}

}  // namespace

std::vector<MountRecord> known_mounts() {
    auto result = all_records();
    for (auto& record : result) {
        complete(record);
        if (!record.alive && !record.mounted) {
            remove_record(record);
        }
    }
    std::ranges::sort(result, {}, [](const MountRecord& record) {
        return std::tie(record.mountpoint, record.started);
    });
    return result;
}

void wait_for_ending_mount(const std::filesystem::path& delta_folder, std::chrono::seconds limit) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    const auto wanted = std::filesystem::weakly_canonical(delta_folder);
    for (const auto& record : all_records()) {
        if (std::filesystem::weakly_canonical(record.delta_folder) != wanted) {
            continue;
        }
        while (!mount_is_there(record) && daemon_answers(record) &&
               std::chrono::steady_clock::now() < deadline) {
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
        }
    }
}

MountRecord find_mount(const std::string& mountpoint) {
    const auto path = absolute_mountpoint(mountpoint);
    std::optional<MountRecord> record;
    for (auto& other : all_records()) {
        if (other.mountpoint == path && (!record || other.started > record->started)) {
            record = std::move(other);
        }
    }
    if (!record && some_mount_is_at(path)) {
        fail(ENOENT, printable(path) + ": mounted by another user, or its record is gone; umount " +
                         printable(path));
    }
    if (!record) {
        fail(ENOENT, printable(mountpoint) + ": no imgfs mount there; imgfs status lists them");
    }
    complete(*record);
    return *record;
}

std::optional<MountRecord> writing_mount(const std::filesystem::path& delta_folder) {
    const auto wanted = std::filesystem::weakly_canonical(delta_folder);
    for (auto& record : all_records()) {
        if (!record.read_only && std::filesystem::weakly_canonical(record.delta_folder) == wanted &&
            daemon_answers(record)) {
            return std::move(record);
        }
    }
    return std::nullopt;
}

nlohmann::json request(const MountRecord& record, const std::string& verb) {
    const auto connection = send_request(record, verb);
    return receive_answer(connection, record);
}

void unmount(const MountRecord& record) {
    if (!daemon_answers(record)) {
        remove_dead(read_record(record.mountpoint, record.pid).value_or(record));
        return;
    }
    const auto connection = send_request(record, "umount");
    std::exception_ptr failed_commit;
    try {
        receive_answer(connection, record);
    } catch (const std::system_error&) {
        failed_commit = std::current_exception();  // nothing can be written any more: unmount
    }
    if (mount_is_there(record)) {
        unmount_path(record.mountpoint, Unmount::if_unused);
    }
    wait_for_close(connection.get());
    check_end(record);
    if (failed_commit) {
        std::rethrow_exception(failed_commit);
    }
}

}  // namespace imgfs
