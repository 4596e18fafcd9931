// ControlServer: a mount's daemon answering `imgfs status`, `sync` and `umount`.
#pragma once

#include <mutex>
#include <thread>
#include <vector>

#include "fs/mount/control_socket.h"
#include "fs/mount/daemon.h"

namespace imgfs {

/// Each request is one line: status, sync, umount, or {"verb": "seal", "point": …, "note": …}. Each
/// answer one line of JSON: {"ok": true, …} or {"error": …, "errno": …}. "umount" commits; its
/// connection closes when this is destroyed.
class ControlServer {
  public:
    ControlServer(const std::string& socket_path, const ServedView& served);
    ControlServer(const ControlServer&) = delete;
    ControlServer& operator=(const ControlServer&) = delete;
    ~ControlServer();

    /// The view is about to go: from now on everything is answered with an error.
    void forget_view();

  private:
    void work();
    void attend(Fd connection);
    nlohmann::json answer(const std::string& line);
    void seal(const nlohmann::json& request);

    const Fd listener_;
    const Fd stop_event_;
    std::vector<Fd> waiting_;  // for the end; of the thread alone

    std::mutex mutex_;
    const ServedView* served_;  // null when the view is gone

    std::thread thread_;
};

}  // namespace imgfs
