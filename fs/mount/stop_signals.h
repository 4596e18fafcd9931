// StopSignals: SIGTERM, SIGINT and SIGHUP end a mount in good order.
#pragma once

#include <signal.h>

#include <array>
#include <functional>
#include <thread>

#include "fs/base/fd.h"

namespace imgfs {

/// One at a time in a process.
class StopSignals {
  public:
    /// From now on each of the signals calls `stop`, on a thread of its own.
    explicit StopSignals(std::function<void(int signal)> stop);
    StopSignals(const StopSignals&) = delete;
    StopSignals& operator=(const StopSignals&) = delete;
    ~StopSignals();  ///< they do again what they did

  private:
    static constexpr std::array kSignals = {SIGTERM, SIGINT, SIGHUP};

    void work();

    const std::function<void(int)> stop_;
    Fd reader_;
    Fd writer_;
    std::array<struct sigaction, kSignals.size()> before_{};
    std::thread thread_;
};

}  // namespace imgfs
